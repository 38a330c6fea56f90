// Who may do what: the login, a viewer, an operator.
import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { checkAccess, checkWidth, open, orderflow, receiver, screenshot, see } from './support.mjs';

test('a viewer looks, an operator acts', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'tokens-'));
  t.after(() => rmSync(folder, { recursive: true }));
  const tokens = { vera: 'viewer', ann: 'operator' };
  const lines = Object.entries(tokens).map(([name, role]) => {
    tokens[name] = `orderflow_${randomBytes(32).toString('base64url')}`;
    return `${name} ${role} ${createHash('sha256').update(tokens[name]).digest('hex')}\n`;
  });
  const file = join(folder, 'tokens');
  writeFileSync(file, lines.join(''), { mode: 0o600 });
  const shop = await receiver(t);
  const program = await orderflow(t, [{ name: 'warehouse', url: shop.url, retry: 'base: 1s, horizon: 5s' }], '--admin-tokens-file', file);
  const page = await open(t, program.url);
  const signIn = async (text) => {
    await page.getByLabel('Token').fill(text);
    await page.keyboard.press('Enter');
  };

  await see(page.getByRole('heading', { name: 'Sign in to orderflow' }));
  for (const colorScheme of ['light', 'dark']) {
    for (const width of [1280, 360]) {
      await page.emulateMedia({ colorScheme });
      await page.setViewportSize({ width, height: 760 });
      await checkWidth(page, 'the login');
      await checkAccess(page, 'the login');
      await screenshot(page, `login-${colorScheme}-${width}`);
    }
  }
  await page.setViewportSize({ width: 1280, height: 800 });
  await signIn('wrong');
  await see(page.getByText('This token is not known.'));

  await signIn(tokens.vera);
  await see(page.getByText('vera (viewer)'));
  await see(page.getByText('Only operators place orders here.'));
  await page.getByRole('link', { name: 'Channels' }).click();
  await see(page.getByRole('link', { name: 'warehouse' }));
  assert.equal(await page.getByRole('button', { name: /^Pause warehouse/ }).count(), 0);
  await page.getByRole('button', { name: 'Sign out' }).click();
  await see(page.getByRole('heading', { name: 'Sign in to orderflow' }));

  await signIn(tokens.ann);
  await see(page.getByText('ann (operator)'));
  await see(page.getByRole('button', { name: /^Pause warehouse/ }));
  await page.getByRole('link', { name: 'Orders' }).click();
  await page.getByRole('button', { name: 'Place the order' }).click();
  await see(page.getByText('Every channel has delivered it.'));
});
