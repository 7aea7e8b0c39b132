// Makes the tables, once.
process.env.PEER_SETUP = '1';
const { bootstrap } = require('@vendure/core');
const { config } = require('./config');

bootstrap(config)
  .then((app) => app.close())
  .then(() => process.exit(0))
  .catch((error) => {
    console.error(error);
    process.exit(1);
  });
