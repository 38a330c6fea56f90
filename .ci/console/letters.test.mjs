// The dead letters' groups: true to their filter, and kept while their numbers change.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { open, orderflow, place, receiver, see, until } from './support.mjs';

async function withDeadLetter(t) {
  const shop = await receiver(t);
  shop.answer = 500;
  const program = await orderflow(t, [{ name: 'warehouse', url: shop.url, retry: 'base: 1s, factor: 1, cap: 1s, horizon: 1s' }]);
  await place(program, 1);
  const page = await open(t, `${program.url}/#/dead-letters`);
  await see(page.getByText('1 letter in 1 group.'));
  return { program, page };
}

test('an answer to an earlier filter is not shown', async (t) => {
  const { page } = await withDeadLetter(t);
  let release;
  const held = new Promise((done) => { release = done; });
  await page.route('**/dead-letters/groups?state=waiting', async (route) => {
    const answer = await route.fetch();
    await held;
    await route.fulfill({ response: answer }).catch(() => {}); // the page may not wait for it any more
  });
  const asked = page.waitForRequest('**/dead-letters/groups?state=waiting');
  await page.getByRole('link', { name: 'replayed', exact: true }).click();
  await see(page.getByText('Nothing was replayed.'));
  await page.getByRole('link', { name: 'waiting', exact: true }).click();
  await asked;
  await page.getByRole('link', { name: 'discarded', exact: true }).click();
  await see(page.getByText('Nothing is discarded.'));
  release();
  await page.waitForTimeout(500);
  await see(page.getByText('Nothing is discarded.'));
});

test('the groups keep the focus while they change, and show their latest times', async (t) => {
  const { program, page } = await withDeadLetter(t);
  await until(async () => (await page.locator('#filter-channel option').allTextContents()).includes('warehouse'), 'the channels are not listed');
  const newest = page.locator('td[data-title="Newest"] time');
  const before = await newest.getAttribute('datetime');
  const button = page.getByRole('button', { name: 'Replay all that match' });
  await button.focus();
  await place(program, 1);
  await see(page.getByText('2 letters in 1 group.'));
  assert.ok(await button.evaluate((node) => node === document.activeElement), 'the button has lost the focus');
  assert.notEqual(await newest.getAttribute('datetime'), before);
});

test('a group without a reason selects no other letters', async (t) => {
  const { page } = await withDeadLetter(t);
  await page.route('**/dead-letters/groups?*', (route) => route.fulfill({
    json: { groups: [{ channel: 'warehouse', reason: '', count: 3, oldest: '2026-01-01T00:00:00.000Z', newest: '2026-01-01T00:00:00.000Z' }], total: 7, more: false },
  }));
  await page.reload();
  await see(page.getByText('no reason'));
  assert.equal(await page.getByRole('button', { name: /^(Replay|Discard) warehouse/ }).count(), 0);
});
