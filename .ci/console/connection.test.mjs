// The live connection: paused, lost and mended.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { open, orderflow, place, receiver, see, until } from './support.mjs';

const inAll = (page) => page.locator('.figures .note').first();

test('a lost connection is shown and mended, with nothing missing', async (t) => {
  const shop = await receiver(t);
  const program = await orderflow(t, [{ name: 'warehouse', url: shop.url, retry: 'base: 1s, horizon: 5s' }]);
  const page = await open(t, program.url, { expected: /ERR_CONNECTION_REFUSED|ERR_INCOMPLETE_CHUNKED_ENCODING|ERR_CONNECTION_RESET/ });
  await place(program, 2);
  await see(inAll(page).filter({ hasText: '2 in all' }));
  await program.kill();
  await see(page.getByText(/No connection since/));
  await see(page.locator('#connection', { hasText: 'Lost' }));
  assert.equal(await inAll(page).textContent(), '2 in all', 'the latest figures stay');
  await program.start();
  await place(program, 3);
  await see(page.locator('#connection', { hasText: 'Live' }));
  await until(async () => (await page.getByText(/No connection since/).isVisible()) === false, 'the banner stays');
  await see(inAll(page).filter({ hasText: '5 in all' }));
});

test('live updates can be paused', async (t) => {
  const shop = await receiver(t);
  const program = await orderflow(t, [{ name: 'warehouse', url: shop.url, retry: 'base: 1s, horizon: 5s' }]);
  const page = await open(t, program.url);
  await see(inAll(page).filter({ hasText: '0 in all' }));
  await page.getByRole('button', { name: 'Pause live updates' }).click();
  await see(page.getByText(/Live updates have been paused since/));
  await place(program, 1);
  await page.waitForTimeout(1500);
  assert.equal(await inAll(page).textContent(), '0 in all');
  await page.getByRole('button', { name: 'Go on with live updates' }).click();
  await see(inAll(page).filter({ hasText: '1 in all' }));
});

test('updates keep the elements, and with them the focus', async (t) => {
  const shop = await receiver(t);
  const program = await orderflow(t, [{ name: 'warehouse', url: shop.url, retry: 'base: 1s, horizon: 5s' }]);
  const page = await open(t, program.url);
  const link = page.getByRole('link', { name: 'warehouse' });
  await link.focus();
  await link.evaluate((node) => { window.kept = node; });
  await place(program, 5);
  await see(inAll(page).filter({ hasText: '5 in all' }));
  assert.ok(await page.evaluate(() => window.kept.isConnected && document.activeElement === window.kept));
});
