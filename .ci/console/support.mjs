// Starts what the tests need: the program, receivers of webhooks, a browser.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { createRequire } from 'node:module';
import { createServer as listen } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after } from 'node:test';

const { CHROMIUM, ORDERFLOW, SCREENSHOTS, TEST_MODULES } = process.env;
const require = createRequire(join(TEST_MODULES, 'package.json'));
const { chromium } = require('playwright-core');
const axe = readFileSync(require.resolve('axe-core/axe.min.js'), 'utf8');

export const patience = 20_000; // milliseconds that anything may take on a busy machine

// --- what a test leaves behind ---

const cleanups = new WeakMap();

// Calls the functions after the test, the latest first.
function cleanUp(t, f) {
  if (!cleanups.has(t)) {
    cleanups.set(t, []);
    t.after(async () => {
      for (const clean of cleanups.get(t).reverse()) await clean();
    });
  }
  cleanups.get(t).push(f);
}

// --- the program and its receivers ---

async function freePort() {
  const server = listen();
  await new Promise((done) => server.listen(0, '127.0.0.1', done));
  const { port } = server.address();
  await new Promise((done) => server.close(done));
  return port;
}

// Returns a receiver of webhooks. answer is the status that it gives; taken counts those that it has accepted.
export async function receiver(t) {
  const state = { answer: 204, taken: 0 };
  const server = createServer((request, response) => {
    request.resume();
    if (state.answer < 300) state.taken++;
    response.writeHead(state.answer).end();
  });
  await new Promise((done) => server.listen(0, '127.0.0.1', done));
  cleanUp(t, () => server.close());
  state.url = `http://127.0.0.1:${server.address().port}`;
  return state;
}

// Starts the program with the channels, {name, url, retry}, in a new folder.
export async function orderflow(t, channels, ...flags) {
  const folder = mkdtempSync(join(tmpdir(), 'console-'));
  writeFileSync(join(folder, 'secret'), `whsec_${Buffer.alloc(32, 7).toString('base64')}\n`, { mode: 0o600 });
  writeFileSync(join(folder, 'channels.yaml'), `channels:\n${channels.map(({ name, url, retry }) => `
  - name: ${name}
    kind: webhook
    secret_file: ./secret
    allow_private: true
    endpoints: [{name: shop, address: "${url}"}]
    retry: {${retry}, jitter: 0}
`).join('')}`);
  const [admin, order, notification] = await Promise.all([freePort(), freePort(), freePort()]);
  const program = { url: `http://localhost:${admin}`, orders: `http://localhost:${order}`, folder, log: '' };
  let child = null;
  let ended = null;
  program.start = async () => {
    child = spawn(ORDERFLOW, ['--data', join(folder, 'data'), '--channels', join(folder, 'channels.yaml'), '--admin-addr', `localhost:${admin}`,
      '--order-addr', `localhost:${order}`, '--notification-addr', `localhost:${notification}`, ...flags]);
    ended = new Promise((done) => child.on('exit', done));
    for (const stream of [child.stdout, child.stderr]) stream.on('data', (text) => { program.log = (program.log + text).slice(-100_000); });
    const ready = until(async () => (await fetch(`http://localhost:${notification}/readyz`)).ok, () => `the program is not ready; its log:\n${program.log}`);
    await Promise.race([ready, ended.then((code) => assert.fail(`the program has ended with ${code}; its log:\n${program.log}`))]);
  };
  program.kill = async () => {
    child.kill('SIGKILL');
    await ended;
  };
  cleanUp(t, async () => {
    await program.kill();
    rmSync(folder, { recursive: true, force: true });
  });
  await program.start();
  return program;
}

// Places n orders.
export async function place(program, n, user = 'ann') {
  for (let i = 0; i < n; i++) {
    const answer = await fetch(`${program.orders}/order`, {
      method: 'POST', headers: { 'Content-Type': 'application/json' }, body: JSON.stringify({ user_id: user, product: `Laptop ${i + 1}`, quantity: 1 + (i % 3) }),
    });
    assert.equal(answer.status, 201);
  }
}

export async function read(program, path) {
  const answer = await fetch(program.url + path);
  assert.equal(answer.status, 200, `${path}: ${answer.status}`);
  return answer.json();
}

// Waits until the condition holds. A condition that fails does not hold yet.
export async function until(condition, message) {
  const end = Date.now() + patience;
  let error;
  do {
    try {
      if (await condition()) return;
    } catch (failure) {
      error = failure;
    }
    await new Promise((done) => setTimeout(done, 50));
  } while (Date.now() < end);
  assert.fail(`${typeof message === 'function' ? message() : message}${error ? `: ${error.message}` : ''}`);
}

// --- the browser ---

let browser = null;
after(() => browser?.close());

const withoutLogin = /\/session$/; // the page asks who uses it, and may hear that nobody does

// Opens a page. Each error in its console fails the test, such as a script that its policy refuses, unless it is expected.
export async function open(t, url, { expected = withoutLogin, ...options } = {}) {
  browser ??= await chromium.launch({ executablePath: CHROMIUM, args: ['--no-sandbox'] });
  const context = await browser.newContext({ viewport: { width: 1280, height: 800 }, reducedMotion: 'reduce', ...options });
  context.setDefaultTimeout(patience);
  const page = await context.newPage();
  const faults = [];
  const fault = (text) => expected.test(text) || withoutLogin.test(text) || faults.push(text);
  page.on('pageerror', (error) => fault(error.stack));
  page.on('console', (message) => message.type() === 'error' && fault(`${message.text()} ${message.location().url}`));
  cleanUp(t, async () => {
    await context.close();
    assert.deepEqual(faults, [], 'errors in the console');
  });
  await page.goto(url);
  return page;
}

export const see = (locator) => locator.filter({ visible: true }).first().waitFor({ timeout: patience });

// Fails with what axe-core finds on the page.
export async function checkAccess(page, where) {
  if (!(await page.evaluate(() => 'axe' in window))) await page.evaluate(axe);
  const { violations } = await page.evaluate(() => window.axe.run());
  assert.deepEqual(violations.map((v) => `${v.id}: ${v.nodes.map((n) => n.html.slice(0, 120)).join(' | ')}`), [], where);
}

export async function checkWidth(page, where) {
  const over = await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
  assert.ok(over <= 0, `${where} is ${over} px too wide`);
}

const longestShot = 2400; // pixels

export async function screenshot(page, name) {
  mkdirSync(SCREENSHOTS, { recursive: true });
  await page.evaluate(() => window.scrollTo(0, 0));
  const [width, height] = await page.evaluate(() => [document.documentElement.clientWidth, document.documentElement.scrollHeight]);
  const clip = { x: 0, y: 0, width, height: Math.min(height, longestShot) };
  await page.screenshot({ path: join(SCREENSHOTS, `${name}.png`), fullPage: true, clip });
}
