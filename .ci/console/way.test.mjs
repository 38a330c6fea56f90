// The whole way of a newcomer: place an order, see it go through, break the receiver, see the next order wait and become
// dead, mend the receiver, replay.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { checkAccess, open, orderflow, place, read, receiver, see, until } from './support.mjs';

const soon = 'base: 1s, factor: 1, cap: 1s, horizon: 2s'; // dead after 2 s

test('from an order to the replay of its dead letter', async (t) => {
  const shop = await receiver(t);
  const program = await orderflow(t, [{ name: 'warehouse', url: shop.url, retry: soon }]);
  const page = await open(t, program.url);
  const order = async (product) => {
    await page.getByRole('link', { name: 'Overview' }).click();
    await page.getByLabel('Product').fill(product);
    await page.getByRole('button', { name: 'Place the order' }).click();
    await see(page.getByRole('heading', { level: 1, name: 'Order' }));
  };
  const row = (name) => page.getByRole('row', { name });

  await see(page.getByText('No order yet. Place one, and see it go through.'));
  await order('<b>Laptop</b>');
  await see(page.getByText('1 × <b>Laptop</b> for user 123'));
  await see(page.getByText('Every channel has delivered it.'));
  await see(row(/warehouse to shop sent/));
  assert.equal(shop.taken, 1);

  shop.answer = 500;
  await order('Coffee');
  await see(row(/warehouse to shop retrying/));
  await see(row(/log sent/));
  await see(page.getByText('Next try'));
  await see(page.getByText('warehouse: became a dead letter'));
  await see(page.getByText('1 notification given up.'));
  const address = page.url();

  await page.getByRole('link', { name: 'Overview' }).click();
  await see(page.getByText(/1 dead letter waits for a decision/));
  await page.getByRole('link', { name: 'Look at the dead letters' }).click();
  await see(page.getByText('1 letter in 1 group.'));
  await page.getByRole('link', { name: /-created\.warehouse/ }).click();
  await see(page.getByRole('heading', { name: 'Dead letter' }));
  await see(page.getByText(/answered 500/));
  assert.equal(await page.getByText('Coffee').count(), 0, 'the body shows before somebody asks for it');
  await page.getByRole('button', { name: 'Show the body' }).click();
  await see(page.getByText('Coffee'));
  await page.getByText('As a command').click();
  await see(page.getByText(/curl -X POST .*dead-letters\/replay/));
  await checkAccess(page, 'a dead letter');

  shop.answer = 204;
  await page.getByRole('link', { name: 'All dead letters' }).click();
  await page.getByRole('button', { name: /^Replay warehouse/ }).click();
  await see(page.getByText('Dry run: 1 dead letter matches. Nothing was changed.'));
  await checkAccess(page, 'the dialog');
  await page.getByRole('button', { name: 'Replay 1', exact: true }).click();
  await see(page.getByText('1 of 1 done.'));
  await see(page.getByText('Nothing waits.'));
  await page.goto(address);
  await see(page.getByText('Every channel has delivered it.'));
  await see(page.getByText(/dead letter replayed by/));
  await until(() => shop.taken === 2, 'the receiver has not got the replay');

  await page.getByRole('link', { name: 'Actions' }).click();
  await see(row(/replayed/));
});

test('a dead letter is discarded and restored', async (t) => {
  const shop = await receiver(t);
  shop.answer = 500;
  const program = await orderflow(t, [{ name: 'warehouse', url: shop.url, retry: soon }]);
  const page = await open(t, program.url);
  await page.getByRole('button', { name: 'Place the order' }).click();
  await page.getByRole('link', { name: 'Look at the dead letter' }).click();
  await page.getByRole('button', { name: /^Discard/ }).click();
  await see(page.locator('#main').getByText('discarded', { exact: true }));
  await page.getByRole('link', { name: 'All dead letters' }).click();
  await see(page.getByText('Nothing waits.'));
  await page.getByRole('link', { name: 'discarded' }).click();
  await page.getByRole('link', { name: /-created\.warehouse/ }).click();
  await page.getByRole('button', { name: /^Restore/ }).click();
  await see(page.locator('#main').getByText('waiting', { exact: true }));
});

test('a channel is paused and resumed, and sends a test message', async (t) => {
  const shop = await receiver(t);
  const program = await orderflow(t, [{ name: 'warehouse', url: shop.url, retry: soon }]);
  const page = await open(t, `${program.url}/#/channels`);
  await page.getByRole('button', { name: 'Pause warehouse' }).click();
  await page.getByLabel('Why').fill('maintenance');
  await page.getByRole('dialog').getByRole('button', { name: 'Pause warehouse' }).click();
  await see(page.getByRole('row', { name: /warehouse.*paused/ }));
  const held = async () => (await read(program, '/undelivered?state=held&channel=warehouse')).data;
  await until(async () => { // a pause takes effect within 2 s
    await place(program, 1);
    return (await held()).length > 0;
  }, 'nothing is held');
  await page.getByRole('link', { name: 'warehouse' }).click();
  await see(page.getByText('maintenance'));
  await page.getByRole('table', { name: 'What waits' }).getByRole('link').first().click();
  await see(page.getByRole('row', { name: /warehouse to shop held/ }));
  await page.goBack();
  await page.getByRole('button', { name: 'Send a test message' }).click();
  await see(page.getByText('accepted'));
  await page.getByRole('button', { name: 'Resume warehouse' }).first().click();
  await until(async () => (await held()).length === 0, 'the held notifications are not sent');
  await see(page.getByText('sends what was held').or(page.getByText('works', { exact: true })));
});
