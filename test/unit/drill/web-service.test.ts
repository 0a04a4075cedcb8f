/** Clients through web services: real sockets, what an answer means, where a session is remembered. */
import { type Server, createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, describe, expect, it } from 'vitest';
import { parseScenario } from '../../../src/drill/load.js';
import { processSessions, tokenSessions } from '../../../src/drill/service/session.js';
import { openHttp, outcomeOfStatus } from '../../../src/drill/workload/http.js';

const servers: Server[] = [];
afterEach(() => {
  for (const server of servers.splice(0)) {
    server.closeAllConnections();
    server.close();
  }
});

async function listening(handler: Parameters<typeof createServer>[1]): Promise<string> {
  const server = createServer(handler);
  servers.push(server);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return `http://127.0.0.1:${String((server.address() as AddressInfo).port)}`;
}

/** Where nobody listens any more. */
async function deserted(): Promise<string> {
  const url = await listening(() => undefined);
  await new Promise((resolve) => servers.pop()?.close(resolve));
  return url;
}

const clients = (urls: string[], sticky = false) =>
  openHttp({ urls, sticky, timeout: 2000, now: () => performance.now(), random: () => 0 });

describe('clients of a web service', () => {
  it.each([
    [200, 'ok'],
    [201, 'ok'],
    [404, 'refused'],
    [503, 'refused'],
    [500, 'unknown'],
    [502, 'unknown'],
  ] as const)('%i is %s', (status, outcome) => {
    expect(outcomeOfStatus(status)).toBe(outcome);
  });

  it('passes over one that does not listen, and says of one that breaks off that nobody knows', async () => {
    const good = await listening((_, response) => response.writeHead(201, { node: 'n1' }).end('{}'));
    const cutting = await listening((request) => request.socket.destroy());
    const gone = await deserted();
    const over = clients([gone, good]);
    for (const n of [1, 2])
      expect(await over.write('w1', 'insert', n, 0)).toMatchObject({ outcome: 'ok', node: 'n1' });
    expect(await clients([gone]).write('w1', 'insert', 1, 0)).toMatchObject({
      outcome: 'refused',
      code: 'ECONNREFUSED',
    });
    expect(await clients([cutting]).write('w1', 'insert', 1, 0)).toMatchObject({ outcome: 'unknown' });
  });

  it('keeps cookies by session, one request of a session at a time, in turn or at one place', async () => {
    const seen: string[] = [];
    let under = 0;
    let most = 0;
    const serve = (name: string) =>
      listening((request, response) => {
        under += 1;
        most = Math.max(most, under);
        seen.push(`${name} ${request.headers.cookie ?? '-'}`);
        setImmediate(() => {
          under -= 1;
          response
            .writeHead(200, { 'set-cookie': `session=${String(seen.length)}; HttpOnly` })
            .end('{"products":[{"sku":"D-w1-0000007"}],"total":6}');
        });
      });
    const urls = [await serve('a'), await serve('b')];
    const turns = clients(urls);
    const [, read] = await Promise.all([
      turns.write('w1', 'adjust', 1, 0),
      turns.read('r1', 'w1', 'session', 0),
    ]);
    expect(read).toMatchObject({ outcome: 'ok', seen: { w1: [7, 6] } });
    expect(seen).toEqual(['a -', 'b session=1']);
    expect(most).toBe(1);
    seen.length = 0;
    const sticky = clients(urls, true);
    for (let n = 0; n < 3; n += 1) await sticky.read('r1', 'w1', 'session', 0);
    expect(seen.map((one) => one[0])).toEqual(['a', 'a', 'a']);
  });

  it('is told of a service that is none', async () => {
    const page = await listening((_, response) => response.end('<html>'));
    expect(await clients([page]).read('r1', 'w1', 'session', 0)).toMatchObject({
      outcome: 'refused',
      code: 'not-the-products-api',
    });
  });
});

describe('sessions of the reference service', () => {
  const written = { epoch: 1, leader: 'n1', before: '0/10', after: '0/20' };

  it('in a token go on at another process; in a process they are gone with it', async () => {
    const first = tokenSessions()(undefined);
    await first.store.addToSession(first.session, { born: 'b', written, seen: null });
    const second = tokenSessions()(first.cookie());
    expect(second.store.readSession(second.session).written).toEqual(written);

    const here = processSessions();
    const before = here(undefined);
    await before.store.addToSession(before.session, { born: 'b', written, seen: null });
    const same = here(before.cookie());
    expect(same.store.readSession(same.session).written).toEqual(written);
    const elsewhere = processSessions()(before.cookie());
    expect(elsewhere.store.readSession(elsewhere.session).written).toBeNull();
  });

  it('take a token that is none for no memory', () => {
    const visit = tokenSessions()('no token');
    expect(visit.store.readSession(visit.session)).toEqual({ born: null, written: null, seen: null });
  });
});

describe('a scenario with web services', () => {
  const text = (rest: string) => `name: web\ntitle: Web\n${rest}`;
  it.each([
    ['steps: [{ killWeb: 1 }]', 'web service 1 is not running then'],
    ['workload: { service: {} }\nsteps: [{ killWeb: 3 }]', 'web service 3 is not running then'],
    [
      'workload: { service: {} }\nsteps: [{ killWeb: 1 }, { killWeb: 1 }]',
      'web service 1 is not running then',
    ],
    ['expect: { forgotten: 1 }', 'nobody reads through a workload.service'],
    ['safe: true\nworkload: { service: {} }\nsteps: [{ killWeb: 1 }]', 'killWeb is not safe'],
    ['workload: { service: { session: cookie } }', 'token or process'],
  ])('%s is refused', (rest, words) => {
    expect(() => parseScenario(text(rest), 'web.yaml')).toThrow(words);
  });
});
