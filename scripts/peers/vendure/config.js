// Vendure as its documentation sets it up for production: BullMQ for jobs, Redis as the cache, no
// schema synchronisation while serving, no playground.
const {
  DefaultLogger,
  DefaultSchedulerPlugin,
  DefaultSearchPlugin,
  LogLevel,
  RedisCachePlugin,
  dummyPaymentHandler,
} = require('@vendure/core');
const { BullMQJobQueuePlugin } = require('@vendure/job-queue-plugin/package/bullmq');

const { PEER_POSTGRES_URL, PEER_REDIS_URL, PEER_PORT, PEER_POOL, PEER_PASSWORD } = process.env;
const redis = new URL(PEER_REDIS_URL);
const connection = {
  host: redis.hostname,
  port: Number(redis.port),
  password: redis.password || undefined,
  db: Number(redis.pathname.slice(1) || 0),
  maxRetriesPerRequest: null,
};

exports.config = {
  apiOptions: {
    port: Number(PEER_PORT),
    hostname: '127.0.0.1',
    adminApiPath: 'admin-api',
    shopApiPath: 'shop-api',
    cors: false,
  },
  authOptions: {
    tokenMethod: ['bearer'],
    superadminCredentials: { identifier: 'superadmin', password: PEER_PASSWORD },
  },
  dbConnectionOptions: {
    type: 'postgres',
    url: PEER_POSTGRES_URL,
    // Only the set-up makes the tables.
    synchronize: process.env.PEER_SETUP === '1',
    logging: false,
    poolSize: Number(PEER_POOL),
  },
  logger: new DefaultLogger({ level: LogLevel.Warn, timestamp: true }),
  paymentOptions: { paymentMethodHandlers: [dummyPaymentHandler] },
  plugins: [
    DefaultSchedulerPlugin.init({}),
    DefaultSearchPlugin.init({ bufferUpdates: false }),
    BullMQJobQueuePlugin.init({ connection }),
    RedisCachePlugin.init({ redisOptions: connection }),
  ],
};
