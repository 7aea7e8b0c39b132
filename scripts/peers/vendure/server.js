// The server: one process for each of PEER_SERVERS, on one port.
const cluster = require('node:cluster');

const servers = Number(process.env.PEER_SERVERS ?? 1);
if (servers > 1 && cluster.isPrimary) {
  for (let n = 0; n < servers; n += 1) cluster.fork();
  let isStopping = false;
  process.on('SIGTERM', () => (isStopping = true));
  cluster.on('exit', (worker, code) => {
    if (!isStopping) {
      console.error(`a server ended with ${code}`);
      process.exit(1);
    }
    if (Object.keys(cluster.workers).length === 0) process.exit(0);
  });
} else {
  const { bootstrap } = require('@vendure/core');
  const { config } = require('./config');
  bootstrap(config).catch((error) => {
    console.error(error);
    process.exit(1);
  });
}
