// One whole way by keyboard alone: place an order, look at its dead letter, discard it.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { open, orderflow, receiver, see } from './support.mjs';

const focused = (page) => page.evaluate(() => {
  const node = document.activeElement;
  return node.getAttribute('aria-label') ?? node.textContent.trim() ?? '';
});

// Presses Tab until the element with the name has the focus, and shows that it has it.
async function tabTo(page, name) {
  for (let i = 0; i < 80; i++) {
    await page.keyboard.press('Tab');
    if (name.test(await focused(page))) {
      const outline = await page.evaluate(() => getComputedStyle(document.activeElement).outlineStyle);
      assert.notEqual(outline, 'none', `${name} does not show that it has the focus`);
      return;
    }
  }
  assert.fail(`Tab does not reach ${name}`);
}

test('by keyboard alone', async (t) => {
  const shop = await receiver(t);
  shop.answer = 500;
  const program = await orderflow(t, [{ name: 'warehouse', url: shop.url, retry: 'base: 1s, factor: 1, cap: 1s, horizon: 1s' }]);
  const page = await open(t, program.url);
  await see(page.getByRole('button', { name: 'Place the order' }));

  await page.keyboard.press('Tab');
  assert.equal(await focused(page), 'Skip to the content');
  await page.keyboard.press('Enter');
  assert.equal(await page.evaluate(() => document.activeElement.id), 'main');
  await tabTo(page, /^Place the order$/);
  await page.keyboard.press('Enter');
  await see(page.getByRole('heading', { level: 1, name: 'Order' }));
  assert.match(await focused(page), /^Order/, 'a new view gets the focus');

  await see(page.getByRole('link', { name: 'Look at the dead letter' }));
  await tabTo(page, /^Look at the dead letter$/);
  await page.keyboard.press('Enter');
  await see(page.getByRole('button', { name: /^Discard/ }));
  await page.goBack();
  await page.goForward();
  await see(page.getByRole('button', { name: /^Discard/ }));

  await tabTo(page, /^All dead letters$/);
  await page.keyboard.press('Enter');
  await see(page.getByRole('button', { name: /^Discard warehouse/ }));
  await tabTo(page, /^Discard warehouse/);
  await page.keyboard.press('Enter');
  await see(page.getByText('Dry run: 1 dead letter matches.'));
  await page.keyboard.press('Escape');
  assert.match(await focused(page), /^Discard warehouse/, 'a closed dialog gives the focus back');
  await page.keyboard.press('Enter');
  await see(page.getByText('Dry run: 1 dead letter matches.'));
  await tabTo(page, /^Discard 1$/);
  await page.keyboard.press('Enter');
  await see(page.getByText('Nothing waits.'));
});
