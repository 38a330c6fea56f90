// Each view with much data, in both themes, wide and narrow: axe-core, the width, and a screenshot to look at.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { checkAccess, checkWidth, open, orderflow, place, read, receiver, screenshot, see, until } from './support.mjs';

const partners = 26; // times 4 orders: over 100 dead letters, with less than the ten refusals that open a breaker
const soon = 'base: 1s, factor: 1, cap: 1s, horizon: 1s';

test('many channels, and over 100 dead letters', async (t) => {
  const [shop, refusing] = [await receiver(t), await receiver(t)];
  refusing.answer = 500;
  const program = await orderflow(t, [
    ...Array.from({ length: partners }, (_, i) => ({ name: `partner-${String(i + 1).padStart(2, '0')}${i === 5 ? '-of-the-northern-shops' : ''}`, url: `${refusing.url}/${i}`, retry: soon })),
    { name: 'slow', url: `${refusing.url}/slow`, retry: 'base: 1h, cap: 2h, horizon: 3d' },
    { name: 'absent', url: 'http://127.0.0.1:9/', retry: soon },
    { name: 'warehouse', url: shop.url, retry: soon },
  ]);
  await place(program, 4);
  const letters = partners * 4;
  await until(async () => (await read(program, '/dead-letters/groups')).total === letters, 'there are not enough dead letters');
  const { data: [letter] } = await read(program, '/dead-letters?limit=1');
  const { orders: [order] } = await read(program, '/console/search?q=ann');

  const views = {
    overview: ['', 'The last 15 minutes'],
    orders: ['orders', 'Follow an order'],
    user: ['orders?q=ann', 'Orders of the user ann'],
    order: [`orders/${order.order_id}`, 'Published to every channel'],
    'dead-letters': ['dead-letters', `${letters} letters in`],
    group: [`dead-letters?group=${encodeURIComponent(letter.reason)}`, 'All groups'],
    letter: [`dead-letters/${encodeURIComponent(letter.id)}`, 'The body may hold personal data.'],
    channels: ['channels', 'Sent a second'],
    channel: ['channels/absent', 'What waits'],
    actions: ['actions', 'How many'],
  };

  await t.test('over 100 are confirmed by their number', async (t) => {
    const page = await open(t, `${program.url}/#/dead-letters`);
    await page.getByRole('button', { name: 'Discard all that match' }).click();
    await see(page.getByText(`Dry run: ${letters} dead letters match.`));
    const button = page.getByRole('button', { name: `Discard ${letters}` });
    assert.ok(await button.isDisabled());
    await page.getByLabel(`Type ${letters} to confirm`).fill('100');
    assert.ok(await button.isDisabled());
    await page.getByLabel(`Type ${letters} to confirm`).fill(String(letters));
    await page.getByLabel('Letters a second').fill('10');
    await screenshot(page, 'dialog-light-1280');
    await button.click();
    await page.getByRole('button', { name: /^Pause: job/ }).click();
    await see(page.locator('.jobs').getByText('paused', { exact: true }));
    await checkAccess(page, 'a paused job');
    await screenshot(page, 'job-light-1280');
    await page.getByRole('button', { name: /^Go on: job/ }).click();
    await page.getByRole('button', { name: /^Stop: job/ }).click();
    await see(page.locator('.jobs').getByText('stopped', { exact: true }));
    await page.getByRole('link', { name: 'discarded' }).click();
    await page.getByRole('button', { name: 'Restore all that match' }).click();
    await see(page.getByText(/Dry run: \d+ dead letters? match/));
    await page.getByRole('button', { name: /^Restore \d+$/ }).click();
    await see(page.getByText('Nothing is discarded.'));
    await until(async () => (await read(program, '/dead-letters/groups')).total === letters, 'they are not restored');
  });

  await t.test('both themes, wide and narrow', { concurrency: true }, async (t) => {
    const looks = ['light', 'dark'].flatMap((colorScheme) => [1280, 360].map((width) => ({ colorScheme, width })));
    await Promise.all(looks.map(({ colorScheme, width }) => t.test(`${colorScheme}, ${width} px`, async (t) => {
      const page = await open(t, program.url, { colorScheme, viewport: { width, height: 760 }, deviceScaleFactor: width < 500 ? 2 : 1 });
      for (const [name, [hash, text]] of Object.entries(views)) {
        await page.goto(`${program.url}/#/${hash}`);
        await see(page.getByText(text));
        await until(async () => (await page.locator('[aria-busy="true"]').count()) === 0, 'the view loads for ever');
        await checkWidth(page, name);
        await checkAccess(page, name);
        await screenshot(page, `${name}-${colorScheme}-${width}`);
      }
    })));
  });
});
