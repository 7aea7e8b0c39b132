// The result as a table in Markdown.

const number = (value) =>
  value === null || value === undefined ? '–' : value.toLocaleString('en-GB');

/** Milliseconds of CPU that one piece of work cost: in the shop's processes, and in the stores. */
function cost({ cpu_seconds: used, all }) {
  if (!all) return '–';
  const each = (seconds) => number(Math.round((seconds * 100_000) / all) / 100);
  return `${each(used.shop)} + ${each(used.stores)}`;
}

function loopRows(label, pick) {
  return [
    [`${label} a second`, (shop) => number(pick(shop).per_second)],
    ['… p50 / p99, ms', (shop) => `${number(pick(shop).p50_ms)} / ${number(pick(shop).p99_ms)}`],
    ['… failed', (shop) => number(pick(shop).failed)],
    ['… CPU each, ms: shop + stores', (shop) => cost(pick(shop))],
    ['… cores that others took', (shop) => number(pick(shop).others_cores)],
  ];
}

function rows({ concurrency }) {
  const journeys = concurrency.flatMap((many, at) =>
    loopRows(`**Guest journeys, ${many} buyers**`, (shop) => shop.journeys[at]));
  const mib = (memory) => `${number(memory.rss_mib)} (${memory.processes})`;
  const told = (shop) => shop.journeys.reduce((sum, loop) => sum + loop.acknowledged, 0);
  return [
    ...journeys,
    [
      '**Orders** acknowledged / in the database',
      (shop) => `${number(told(shop))} / ${number(shop.orders_in_database)}`,
    ],
    ['**Race**: units sold, by the database', (shop) => number(shop.race.sold_in_database)],
    ['… oversold', (shop) => number(shop.race.oversold)],
    ['… told yes / sold out', (shop) => `${shop.race.sold} / ${shop.race.refused}`],
    ['… still busy at the end / errors', (shop) => `${shop.race.busy} / ${shop.race.errors}`],
    ['… times that buyers had to come again', (shop) => number(shop.race.came_again)],
    ['… seconds until all had their answer', (shop) => number(shop.race.seconds)],
    ...loopRows('**Product reads**', (shop) => shop.reads[0]),
    ['**Memory** at rest, MiB (processes)', (shop) => mib(shop.memory_at_rest)],
    ['… after the load', (shop) => mib(shop.memory_after)],
    ['**Start** to the first answer, s', (shop) => number(shop.start_seconds)],
  ];
}

export function table({ date, wanted, machine, shops, failed }) {
  const line = (cells) => `| ${cells.join(' | ')} |`;
  const titles = shops.map((shop) => `${shop.name} ${shop.version}`);
  const { postgres } = machine;
  const loads = shops.flatMap((shop) =>
    [...shop.reads, ...shop.journeys, shop.race].map((result) => result.load_average));
  const text = [
    line(['', ...titles]),
    line(['---', ...titles.map(() => '---:')]),
    ...rows(wanted).map(([label, value]) => line([label, ...shops.map(value)])),
    '',
    `${date.slice(0, 10)}, ${machine.cpus} × ${machine.model}, ${machine.memory_gib} GiB, ` +
      `Node ${machine.node}.`,
    `PostgreSQL ${postgres.server_version}: fsync ${postgres.fsync}, ` +
      `synchronous_commit ${postgres.synchronous_commit}, ` +
      `full_page_writes ${postgres.full_page_writes}.`,
    `Each loop ${wanted.seconds} s after ${wanted.warmup} s of warm-up, ` +
      `${wanted.products} products; race: ${wanted.buyers} buyers for ${wanted.units} units.`,
    `Load average ${number(Math.min(...loads))} to ${number(Math.max(...loads))}.`,
    ...shops.map((shop) => `- ${shop.name} ${shop.version}: ${shop.settings}.`),
    ...failed.map(({ name, why }) => `- ${name} is left out: ${why}`),
  ];
  return `${text.join('\n')}\n`;
}
