// Medusa as its deployment guide sets it up: servers and worker apart, and Redis behind events,
// workflows, locks and the cache.  The admin's pages are left out: nobody looks at them here.
import { defineConfig } from '@medusajs/framework/utils';

const { PEER_REDIS_URL, PEER_SECRET, PEER_POOL } = process.env;

module.exports = defineConfig({
  projectConfig: {
    databaseUrl: process.env.PEER_POSTGRES_URL,
    databaseDriverOptions: {
      connection: { ssl: false },
      pool: { min: 2, max: Number(PEER_POOL ?? 20) },
    },
    redisUrl: PEER_REDIS_URL,
    workerMode: process.env.MEDUSA_WORKER_MODE as 'shared' | 'worker' | 'server',
    http: {
      storeCors: 'http://127.0.0.1',
      adminCors: 'http://127.0.0.1',
      authCors: 'http://127.0.0.1',
      jwtSecret: PEER_SECRET,
      cookieSecret: PEER_SECRET,
    },
  },
  admin: { disable: true },
  featureFlags: { caching: true },
  modules: [
    {
      resolve: '@medusajs/medusa/caching',
      options: {
        providers: [
          {
            resolve: '@medusajs/caching-redis',
            id: 'caching-redis',
            is_default: true,
            options: { redisUrl: PEER_REDIS_URL },
          },
        ],
      },
    },
    { resolve: '@medusajs/medusa/event-bus-redis', options: { redisUrl: PEER_REDIS_URL } },
    {
      resolve: '@medusajs/medusa/workflow-engine-redis',
      options: { redis: { redisUrl: PEER_REDIS_URL } },
    },
    {
      resolve: '@medusajs/medusa/locking',
      options: {
        providers: [
          {
            resolve: '@medusajs/medusa/locking-redis',
            id: 'locking-redis',
            is_default: true,
            options: { redisUrl: PEER_REDIS_URL },
          },
        ],
      },
    },
  ],
});
