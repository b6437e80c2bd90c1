// Somebody with a browser: opens an address, signs in where asked, consents (or not), and follows until it ends.
//
// Arguments: the address, settings as JSON: {"login": "alice", "deny": false, "code": "ABCD-EFGH"}
// Prints the text of the last page.
const [address, settingsText] = process.argv.slice(2);
const { login, deny, code } = JSON.parse(settingsText);

const jar = new Map();

async function open(url, options = {}) {
  for (let hops = 0; hops < 20; hops += 1) {
    const { host } = new URL(url);
    const cookies = [...(jar.get(host) ?? new Map())].map(([name, value]) => `${name}=${value}`);
    const response = await fetch(url, {
      ...options,
      redirect: 'manual',
      headers: { ...options.headers, cookie: cookies.join('; ') },
    });
    const kept = jar.get(host) ?? new Map();
    for (const cookie of response.headers.getSetCookie()) {
      const [pair] = cookie.split(';');
      const at = pair.indexOf('=');
      kept.set(pair.slice(0, at), pair.slice(at + 1));
    }
    jar.set(host, kept);
    const location = response.headers.get('location');
    if (response.status < 300 || response.status > 399 || !location) {
      return { url, text: await response.text() };
    }
    url = new URL(location, url).href;
    options = {};
  }
  throw new Error('too many redirections');
}

function form(page) {
  const found = /<form[^>]*action="([^"]+)"[^>]*>([\s\S]*?)<\/form>/.exec(page.text);
  if (!found) return undefined;
  const fields = new URLSearchParams();
  for (const [input] of found[2].matchAll(/<input[^>]*>/g)) {
    const name = /name="([^"]*)"/.exec(input)?.[1];
    const value = /value="([^"]*)"/.exec(input)?.[1] ?? '';
    if (name) fields.set(name, value);
  }
  return { action: new URL(found[1], page.url).href, fields };
}

let page = await open(address);
for (let steps = 0; steps < 10; steps += 1) {
  const next = form(page);
  if (!next) break;
  if (/interaction\/[^/]+\/abort/.test(next.action)) break;
  if (deny && next.fields.get('prompt') === 'consent') {
    const abort = /href="([^"]*\/abort)"/.exec(page.text)[1];
    page = await open(new URL(abort, page.url).href);
    continue;
  }
  if (next.fields.has('login')) {
    next.fields.set('login', login);
    next.fields.set('password', 'any');
  }
  if (next.fields.has('user_code') && !next.fields.get('user_code')) next.fields.set('user_code', code);
  page = await open(next.action, {
    method: 'POST',
    body: next.fields.toString(),
    headers: { 'content-type': 'application/x-www-form-urlencoded' },
  });
}
console.log(page.text);
