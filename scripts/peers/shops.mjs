// How each shop is installed, set up and started.  An adapter beside this file speaks to it.
import crypto from 'node:crypto';
import fs from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { Doorbuster } from './doorbuster.mjs';
import { Medusa } from './medusa.mjs';
import { finish } from './processes.mjs';
import { Vendure } from './vendure.mjs';

const here = path.dirname(fileURLToPath(import.meta.url));
const secret = () => crypto.randomBytes(24).toString('hex');

/** Copies a peer's files into the work folder, and installs what its package.json names. */
async function installFromNpm(name, work, log) {
  const folder = path.join(work, name);
  fs.mkdirSync(folder, { recursive: true });
  for (const file of fs.readdirSync(path.join(here, name))) {
    fs.copyFileSync(path.join(here, name, file), path.join(folder, file));
  }
  const wanted = fs.readFileSync(path.join(folder, 'package.json'), 'utf8');
  const marker = path.join(folder, 'installed.json');
  if (fs.existsSync(marker) && fs.readFileSync(marker, 'utf8') === wanted) return folder;
  const options = ['--no-audit', '--no-fund', '--save-exact'];
  await finish(['npm', 'install', ...options], { cwd: folder, log });
  fs.writeFileSync(marker, wanted);
  return folder;
}

const versionOf = (folder, name) =>
  JSON.parse(fs.readFileSync(path.join(folder, 'node_modules', name, 'package.json'))).version;

export const shops = {
  doorbuster: {
    Adapter: Doorbuster,
    password: `sk_${secret()}`,
    async install({ binaries, log }) {
      this.program = path.join(binaries, 'doorbuster');
      this.version = (await finish([this.program, '--version'], { log })).split(' ').at(-1);
      this.settings = `one process, its defaults but for limits of an address, production, ${path.basename(binaries)} build`;
    },
    env({ postgresUrl, redisUrl, port }) {
      return {
        DOORBUSTER__ENV: 'production',
        DOORBUSTER__SERVER__BIND: `127.0.0.1:${port}`,
        DOORBUSTER__POSTGRES__URL: postgresUrl,
        DOORBUSTER__REDIS__URL: redisUrl,
        DOORBUSTER__ADMIN__SECRET_KEY: this.password,
        DOORBUSTER__PAYMENT__TEST_PROVIDER: 'false',
        DOORBUSTER__LOG__FILTER: 'warn',
        // One address plays all clients.
        DOORBUSTER__LIMITS__PER_ADDRESS: '1000000/second burst 1000000',
        DOORBUSTER__LIMITS__ORDERS_PER_ADDRESS: '1000000/second burst 1000000',
        DOORBUSTER__LIMITS__SESSIONS_PER_ADDRESS: '1000000/second burst 1000000',
      };
    },
    async setUp(context) {
      await finish([this.program, 'migrate'], { env: this.env(context), log: context.log });
    },
    commands(context) {
      return [{ command: [this.program, 'serve'], env: this.env(context) }];
    },
  },

  vendure: {
    Adapter: Vendure,
    password: secret(),
    async install({ work, log, servers, pool }) {
      this.folder = await installFromNpm('vendure', work, log);
      this.version = versionOf(this.folder, '@vendure/core');
      this.settings =
        `${servers} server processes and a worker, BullMQ and cache in Redis, ` +
        `pool ${pool} a process`;
    },
    env({ postgresUrl, redisUrl, port, servers, pool }) {
      return {
        NODE_ENV: 'production',
        PEER_POSTGRES_URL: postgresUrl,
        PEER_REDIS_URL: redisUrl,
        PEER_PORT: String(port),
        PEER_SERVERS: String(servers),
        PEER_POOL: String(pool),
        PEER_PASSWORD: this.password,
        VENDURE_DISABLE_TELEMETRY: 'true',
      };
    },
    async setUp(context) {
      const options = { cwd: this.folder, env: this.env(context), log: context.log };
      await finish(['node', 'setup.js'], options);
    },
    commands(context) {
      const env = this.env(context);
      return ['server.js', 'worker.js'].map((file) => ({
        command: ['node', file],
        cwd: this.folder,
        env,
      }));
    },
  },

  medusa: {
    Adapter: Medusa,
    password: secret(),
    secret: secret(),
    async install({ work, log, servers, pool }) {
      this.folder = await installFromNpm('medusa', work, log);
      this.version = versionOf(this.folder, '@medusajs/medusa');
      this.settings =
        `${servers} server processes and a worker, events, workflows, locks and cache in Redis, ` +
        `pool ${pool} a process`;
    },
    env({ postgresUrl, redisUrl, pool }) {
      return {
        NODE_ENV: 'production',
        PEER_POSTGRES_URL: postgresUrl,
        PEER_REDIS_URL: redisUrl,
        PEER_POOL: String(pool),
        PEER_SECRET: this.secret,
        LOG_LEVEL: 'warn',
        MEDUSA_DISABLE_TELEMETRY: 'true',
      };
    },
    async setUp(context) {
      const options = { cwd: this.folder, env: this.env(context), log: context.log };
      const cli = ['npx', '--no-install', 'medusa'];
      await finish([...cli, 'build'], options);
      await finish([...cli, 'db:migrate'], options);
      await finish([...cli, 'user', '-e', 'admin@example.com', '-p', this.password], options);
      // The built application wants an installation of its own; the same packages do.
      const link = path.join(this.folder, '.medusa/server/node_modules');
      fs.rmSync(link, { force: true });
      fs.symlinkSync('../../node_modules', link);
    },
    commands(context) {
      const { port, workerPort, servers } = context;
      const cwd = path.join(this.folder, '.medusa/server');
      const command = (at, ...more) => [
        ...['node', 'node_modules/@medusajs/cli/cli.js', 'start'],
        ...['--host', '127.0.0.1', '--port', String(at), ...more],
      ];
      const many = ['--cluster', String(servers), '--servers', String(servers)];
      const server = command(port, ...(servers > 1 ? many : []));
      const env = this.env(context);
      return [
        { cwd, command: server, env: { ...env, MEDUSA_WORKER_MODE: 'server' } },
        { cwd, command: command(workerPort), env: { ...env, MEDUSA_WORKER_MODE: 'worker' } },
      ];
    },
  },
};
