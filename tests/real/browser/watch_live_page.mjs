// Looks at the status page of a run that goes on: tests/programs/held_loop.cc, whose loop
// this script holds up and lets go. Prints what is wrong; exits with 1 then.
//
//   node watch_live_page.mjs CHROMIUM URL PORT_OF_THE_PROGRAM [SCREENSHOT_DIRECTORY]
import assert from 'node:assert/strict';
import {writeFileSync} from 'node:fs';
import {connect} from 'node:net';
import {join} from 'node:path';

import {Browser} from './chromium.mjs';

const [, , executable, url, port, screenshots] = process.argv;
const browser = await Browser.start(executable);
const text = (selector) => browser.evaluate(`document.querySelector('${selector}').textContent`);
const verdict = (words) => browser.until(`document.querySelector('h1').textContent.includes('${words}')`);

async function hold() {
  const socket = connect({host: '127.0.0.1', port: Number(port)});
  await new Promise((resolve, reject) => socket.on('connect', resolve).on('error', reject));
  return socket;
}

async function shoot(name) {
  if (screenshots) writeFileSync(join(screenshots, `live-${name}.png`), await browser.screenshot());
}

let failed = false;
try {
  await browser.size(1280, 900);
  await browser.open(url);
  await verdict('1 loop, it is ');
  await verdict('nothing is stalled right now');
  assert.match(await text('#run'), /held_loop has run for /);

  const client = await hold();
  await verdict('held_loop has been stalled for ');
  assert.match(await text('#stalls .title'), /^recv in .*WaitForClient\(int\)$/);
  assert.match(await text('#stalls .place'), /held_loop\.cc:\d+$/);
  assert.match(await text('tr.stalled'), /held_loop/);
  await shoot('held');

  client.end('go on');
  await verdict('nothing is stalled right now');
  assert.match(await text('#sites .title'), /^recv in .*WaitForClient\(int\)$/);
  assert.match(await text('#sites .place'), /held_loop\.cc:\d+$/);
  assert.match(await text('#sites .cost'), /^[0-9.]+ s1 time, /);
  await shoot('free');

  assert.deepEqual(browser.complaints(), []);
  assert.deepEqual(browser.requests().filter((one) => !one.startsWith(url) && !one.startsWith('data:')), []);
  for (const link of ['metrics', 'report.json']) {
    const there = await browser.evaluate(
      `(async () => (await fetch(document.querySelector('a[href="${link}"]').href)).status)()`);
    assert.equal(there, 200, link);
  }

  (await hold()).end('quit');
  await verdict('no answer since ');
  assert.match(await text('#connection'), /the run has ended/);
  console.log('ok');
} catch (error) {
  failed = true;
  console.log(`failed: ${error.stack}`);
  console.log(await text('body').catch(() => ''));
}
await browser.stop();
process.exit(failed ? 1 : 0);
