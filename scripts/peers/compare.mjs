// Measures the shops, one after the other, against one private PostgreSQL and Redis.
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { performance } from 'node:perf_hooks';
import { parseArgs } from 'node:util';
import { closedLoop, journey, race, sleep } from './measure.mjs';
import * as processes from './processes.mjs';
import { shops } from './shops.mjs';
import { table } from './table.mjs';

const READY_MS = 180_000;
const REST_MS = 5_000;

function options() {
  const { values } = parseArgs({
    options: {
      binaries: { type: 'string' },
      work: { type: 'string' },
      shops: { type: 'string', default: Object.keys(shops).join(',') },
      concurrency: { type: 'string', default: '8,32,64' },
      seconds: { type: 'string', default: '20' },
      warmup: { type: 'string', default: '10' },
      products: { type: 'string', default: '50' },
      buyers: { type: 'string', default: '600' },
      units: { type: 'string', default: '200' },
      servers: { type: 'string', default: String(os.cpus().length) },
      pool: { type: 'string', default: '20' },
    },
  });
  const numbers = ['seconds', 'warmup', 'products', 'buyers', 'units', 'servers', 'pool'];
  for (const name of numbers) values[name] = Number(values[name]);
  values.concurrency = values.concurrency.split(',').map(Number);
  values.shops = values.shops.split(',');
  values.work = path.resolve(values.work);
  values.binaries = path.resolve(values.binaries);
  return values;
}

const say = (text) => console.error(`${new Date().toISOString().slice(11, 19)} ${text}`);

/** The private PostgreSQL and Redis: they live until their standard input is closed. */
async function startServices({ binaries, work }) {
  const data = path.join(work, 'services');
  fs.rmSync(data, { recursive: true, force: true });
  const command = [path.join(binaries, 'doorbuster'), 'services', '--data', data];
  const log = path.join(work, 'services.log');
  const child = processes.start(command, { log, stdio: ['pipe', 'pipe', 'inherit'] });
  let said = '';
  child.stdout.on('data', (chunk) => (said += chunk));
  const until = performance.now() + READY_MS;
  while (!said.includes('\n')) {
    if (performance.now() > until || child.exitCode !== null) throw new Error('no services');
    await sleep(100);
  }
  const services = JSON.parse(said);
  // Queues must not be thrown away when Redis is full, and it must not be full.
  const redis = new URL(services.redis_tcp_url);
  const cli = ['redis-cli', '-h', redis.hostname, '-p', redis.port, 'config', 'set'];
  const env = { REDISCLI_AUTH: redis.password };
  await processes.finish([...cli, 'maxmemory-policy', 'noeviction'], { env });
  await processes.finish([...cli, 'maxmemory', '0'], { env });
  return { ...services, child, data };
}

/** A statement on a database, through PostgreSQL's own client. */
function asker(services, url) {
  const psql = path.join(services.postgres_bin, 'psql');
  return (statement) => processes.finish([psql, url, '-X', '-At', '-c', statement], {});
}

async function makeDatabase(services, name) {
  const ask = asker(services, services.postgres_tcp_url);
  await ask(`CREATE DATABASE peer_${name}`);
  const url = new URL(services.postgres_tcp_url);
  url.pathname = `/peer_${name}`;
  return url.toString();
}

function startShop(shop, context) {
  const commands = shop.commands(context);
  return commands.map(({ command, cwd, env }) =>
    processes.start(command, { cwd, env, log: context.log }));
}

async function until(work, children) {
  const end = performance.now() + READY_MS;
  for (;;) {
    try {
      return await work();
    } catch (error) {
      if (performance.now() > end) throw error;
      if (children.some((child) => child.exitCode !== null)) throw new Error('it has ended');
      await sleep(50);
    }
  }
}

/** Runs one measurement and adds what it cost, and what else the machine did meanwhile. */
async function measured(what, { children, services }, work) {
  say(`  ${what}`);
  const shop = children.map((child) => child.pid);
  const stores = [services.postgres_pid, services.redis_pid];
  const look = () => ({
    shop: processes.cpuSeconds(shop),
    stores: processes.cpuSeconds(stores),
    driver: process.cpuUsage(),
    machine: processes.machineSeconds(),
    at: performance.now(),
  });
  const before = look();
  const result = await work();
  const after = look();
  const { user, system } = process.cpuUsage(before.driver);
  const used = {
    shop: after.shop - before.shop,
    stores: after.stores - before.stores,
    driver: (user + system) / 1e6,
  };
  const all = after.machine - before.machine;
  const seconds = (after.at - before.at) / 1000;
  const others = Math.max(0, all - used.shop - used.stores - used.driver) / seconds;
  const two = (number) => Math.round(number * 100) / 100;
  return {
    ...result,
    cpu_seconds: { shop: two(used.shop), stores: two(used.stores), driver: two(used.driver) },
    others_cores: two(others),
    load_average: two(os.loadavg()[0]),
  };
}

/** All measurements of one running shop. */
async function measureShop(adapter, running, wanted) {
  const { concurrency, warmup: warmupSeconds, seconds } = wanted;
  const result = { memory_at_rest: null, reads: [], journeys: [] };
  await sleep(REST_MS);
  const pids = running.children.map((child) => child.pid);
  result.memory_at_rest = processes.memory(pids);
  const loop = (work, many) => () =>
    closedLoop({ work, concurrency: many, warmupSeconds, seconds });
  const reads = Math.min(...concurrency.filter((many) => many >= 32), 64);
  const read = () => adapter.read();
  result.reads.push(await measured(`${reads} readers`, running, loop(read, reads)));
  const buy = () => journey(adapter);
  for (const many of concurrency) {
    result.journeys.push(await measured(`${many} buyers`, running, loop(buy, many)));
  }
  result.orders_in_database = await adapter.orders();
  result.race = await measured('race', running, () => race(adapter, wanted));
  await sleep(REST_MS);
  result.memory_after = processes.memory(pids);
  return result;
}

async function one(name, services, wanted) {
  const shop = shops[name];
  const log = path.join(wanted.work, `${name}.log`);
  fs.rmSync(log, { force: true });
  say(`${name}: installing`);
  await shop.install({ ...wanted, log });
  const [port, workerPort] = [await processes.freePort(), await processes.freePort()];
  const postgresUrl = await makeDatabase(services, name);
  const redis = `${services.redis_tcp_url.replace(/\/$/, '')}/${Object.keys(shops).indexOf(name)}`;
  const context = { ...wanted, log, port, workerPort, postgresUrl, redisUrl: redis };
  say(`${name} ${shop.version}: setting up`);
  await shop.setUp(context);
  const adapter = new shop.Adapter({
    url: `http://127.0.0.1:${port}`,
    sql: asker(services, postgresUrl),
    password: shop.password,
    products: wanted.products,
  });
  let children = startShop(shop, context);
  try {
    await until(() => adapter.alive(), children);
    await adapter.prepare();
    await processes.stop(children);
    say(`${name}: starting`);
    const begin = performance.now();
    children = startShop(shop, context);
    await until(() => adapter.read(), children);
    const start_seconds = Math.round((performance.now() - begin) / 100) / 10;
    const result = await measureShop(adapter, { children, services }, wanted);
    return { name, version: shop.version, settings: shop.settings, start_seconds, ...result };
  } finally {
    adapter.close();
    await processes.stop(children);
  }
}

async function machine(services) {
  const ask = asker(services, services.postgres_tcp_url);
  const postgres = {};
  const names = ['server_version', 'fsync', 'synchronous_commit', 'full_page_writes'];
  for (const name of [...names, 'shared_buffers', 'max_connections']) {
    postgres[name] = await ask(`SHOW ${name}`);
  }
  const memory = Math.round(os.totalmem() / 2 ** 30);
  const node = process.version;
  return { cpus: os.cpus().length, model: os.cpus()[0].model, memory_gib: memory, node, postgres };
}

async function main() {
  processes.stopAllAtExit();
  const wanted = options();
  fs.mkdirSync(wanted.work, { recursive: true, mode: 0o755 });
  const services = await startServices(wanted);
  const report = { date: new Date().toISOString(), wanted: { ...wanted }, shops: [], failed: [] };
  report.machine = await machine(services);
  const out = path.join(wanted.work, 'result');
  const write = () => {
    fs.writeFileSync(`${out}.json`, `${JSON.stringify(report, null, 2)}\n`);
    fs.writeFileSync(`${out}.md`, table(report));
  };
  for (const name of wanted.shops) {
    try {
      report.shops.push(await one(name, services, wanted));
    } catch (error) {
      say(`${name} is left out: ${error.stack}`);
      report.failed.push({ name, why: String(error.message).slice(0, 2000) });
    }
    write();
  }
  services.child.stdin.end();
  await services.child.ended;
  fs.rmSync(services.data, { recursive: true, force: true });
  process.stdout.write(fs.readFileSync(`${out}.md`, 'utf8'));
  say(`written: ${out}.json and ${out}.md`);
  process.exitCode = report.failed.length === 0 ? 0 : 1;
}

main().catch((error) => {
  console.error(error);
  process.exit(2);
});
