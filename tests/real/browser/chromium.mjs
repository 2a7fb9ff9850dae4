// Chromium without a window, driven through two pipes: no package, no network, no port.
import {spawn} from 'node:child_process';
import {mkdtempSync, rmSync} from 'node:fs';
import {tmpdir} from 'node:os';
import {join} from 'node:path';

export class Browser {
  static async start(executable) {
    const browser = new Browser();
    browser.profile = mkdtempSync(join(tmpdir(), 'loopsan-chromium-'));
    browser.process = spawn(executable, [
      '--headless=new', '--no-sandbox', '--disable-gpu', '--enable-unsafe-swiftshader',
      '--disable-dev-shm-usage', '--no-first-run',
      '--disable-extensions', '--disable-background-networking', '--disable-component-update',
      '--disable-sync', '--hide-scrollbars', '--force-color-profile=srgb',
      `--user-data-dir=${browser.profile}`, '--remote-debugging-pipe', 'about:blank',
    ], {stdio: ['ignore', 'ignore', 'ignore', 'pipe', 'pipe']});
    browser.calls = new Map();
    browser.events = [];
    browser.nextId = 1;
    let received = Buffer.alloc(0);
    browser.process.stdio[4].on('data', (bytes) => {
      received = Buffer.concat([received, bytes]);
      for (let end = received.indexOf(0); end >= 0; end = received.indexOf(0)) {
        browser.receive(JSON.parse(received.subarray(0, end).toString()));
        received = received.subarray(end + 1);
      }
    });
    browser.process.on('exit', () => {
      for (const {reject} of browser.calls.values()) reject(new Error('chromium ended'));
    });
    const {targetInfos} = await browser.send('Target.getTargets');
    const {targetId} = targetInfos.find(({type}) => type === 'page');
    const {sessionId} = await browser.send('Target.attachToTarget', {targetId, flatten: true});
    browser.sessionId = sessionId;
    for (const domain of ['Page', 'Runtime', 'Log', 'Network']) await browser.send(`${domain}.enable`);
    return browser;
  }

  receive(message) {
    if (message.id === undefined) {
      this.events.push(message);
      return;
    }
    const {resolve, reject} = this.calls.get(message.id);
    this.calls.delete(message.id);
    if (message.error) {
      reject(new Error(message.error.message));
    } else {
      resolve(message.result);
    }
  }

  send(method, params = {}) {
    const id = this.nextId++;
    return new Promise((resolve, reject) => {
      this.calls.set(id, {resolve, reject});
      this.process.stdio[3].write(`${JSON.stringify({id, method, params, sessionId: this.sessionId})}\0`);
    });
  }

  async evaluate(expression) {
    const {result, exceptionDetails} = await this.send('Runtime.evaluate', {
      expression, awaitPromise: true, returnByValue: true});
    if (exceptionDetails) {
      throw new Error(exceptionDetails.exception?.description ?? exceptionDetails.text);
    }
    return result.value;
  }

  // Until `expression` is true on the page.
  async until(expression, seconds = 30) {
    const polling = `new Promise((resolve) => {
      const end = performance.now() + ${seconds * 1000};
      const look = () => {
        if (${expression}) resolve(true);
        else if (performance.now() > end) resolve(false);
        else setTimeout(look, 10);
      };
      look();
    })`;
    if (!await this.evaluate(polling)) throw new Error(`never became true: ${expression}`);
  }

  // Ours says when it is ready.
  async open(url, isReady = `document.documentElement?.dataset.ready === 'true'`) {
    this.events = [];
    await this.send('Page.navigate', {url});
    // The evaluation is lost with the page before.
    const ready = `location.href === ${JSON.stringify(url)} && (${isReady})`;
    for (const end = performance.now() + 30_000; performance.now() < end;) {
      if (await this.evaluate(ready).catch(() => false)) return;
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
    throw new Error(`${url} did not become ready: ${this.complaints()}`);
  }

  async click(x, y) {
    await this.drag([[x, y]]);
  }

  async drag(points) {
    const mouse = (type, [x, y], more = {}) =>
      this.send('Input.dispatchMouseEvent', {type, x, y, ...more});
    const held = {button: 'left', buttons: 1, clickCount: 1};
    await mouse('mouseMoved', points[0]);
    await mouse('mousePressed', points[0], held);
    for (const point of points.slice(1)) await mouse('mouseMoved', point, {button: 'left', buttons: 1});
    await mouse('mouseReleased', points[points.length - 1], held);
  }

  async key(key, code = key) {
    const text = key.length === 1 ? key : key === 'Enter' ? '\r' : undefined;
    await this.send('Input.dispatchKeyEvent', {type: 'keyDown', key, code, text,
      windowsVirtualKeyCode: key === 'Enter' ? 13 : key === 'Tab' ? 9 : 0});
    await this.send('Input.dispatchKeyEvent', {type: 'keyUp', key, code});
  }

  async size(width, height, isPhone = false) {
    await this.send('Emulation.setDeviceMetricsOverride',
                    {width, height, deviceScaleFactor: 1, mobile: isPhone});
  }

  async prefer(scheme) {
    await this.send('Emulation.setEmulatedMedia',
                    {features: [{name: 'prefers-color-scheme', value: scheme}]});
  }

  async screenshot() {
    const {data} = await this.send('Page.captureScreenshot');
    return Buffer.from(data, 'base64');
  }

  // What a person would find in the console, and every request but that of the page.
  complaints() {
    const found = [];
    for (const {method, params} of this.events) {
      if (method === 'Runtime.exceptionThrown') found.push(params.exceptionDetails.exception?.description ?? 'exception');
      if (method === 'Runtime.consoleAPICalled') found.push(`console.${params.type}`);
      if (method === 'Log.entryAdded') found.push(`log: ${params.entry.text}`);
      if (method === 'Page.javascriptDialogOpening') found.push(`dialog: ${params.message}`);
    }
    return found;
  }

  requests() {
    return this.events.filter(({method}) => method === 'Network.requestWillBeSent')
      .map(({params}) => params.request.url);
  }

  async stop() {
    // It ends its own processes first: one that was left behind would go on writing into
    // the profile while that is removed.
    const ended = new Promise((resolve) => this.process.once('exit', resolve));
    const kill = setTimeout(() => this.process.kill('SIGKILL'), 10_000);
    this.sessionId = undefined;
    this.send('Browser.close').catch(() => {});
    await ended;
    clearTimeout(kill);
    rmSync(this.profile, {recursive: true, force: true, maxRetries: 5, retryDelay: 100});
  }
}

// Runs named checks one after the other, says how each went, and ends the program.
export async function runChecks(browser, checks) {
  let failed = false;
  for (const [name, check] of Object.entries(checks)) {
    try {
      await check();
      console.log(`ok: ${name}`);
    } catch (error) {
      failed = true;
      console.log(`failed: ${name}: ${error.stack}`);
    }
  }
  await browser.stop();
  process.exit(failed ? 1 : 0);
}
