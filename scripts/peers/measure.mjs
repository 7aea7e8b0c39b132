// The measurements: the same closed loop for every shop.  It knows an adapter's functions only.
import { performance } from 'node:perf_hooks';

/** For how long buyers come again who are told that the shop is busy. */
const RACE_MS = 180_000;

/** How much longer a loop may run in which work takes long. */
const SLOW_MS = 120_000;

export const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

function percentile(sorted, share) {
  if (sorted.length === 0) return null;
  const at = Math.ceil(sorted.length * share) - 1;
  return sorted[Math.min(sorted.length - 1, Math.max(0, at))];
}

const rounded = (number) => (number === null ? null : Math.round(number * 10) / 10);

/** What went wrong, each kind once with how often; the first ten kinds. */
function note(failures, error) {
  const said = String(error?.message ?? error).replace(/"(request_id|instance)":"[^"]*"/g, '');
  const what = failures.size < 10 ? said.slice(0, 300) : 'others';
  failures.set(what, (failures.get(what) ?? 0) + 1);
}

/**
 * As many workers as `concurrency`, each of which begins anew when it is done.  What ends between
 * the end of the warm-up and the end of the run counts; failures count always.  Where work takes
 * longer than that, the run goes on until three rounds are done, or for two minutes more.
 */
export async function closedLoop({ work, concurrency, warmupSeconds, seconds }) {
  const begin = performance.now() + warmupSeconds * 1000;
  const earliest = begin + seconds * 1000;
  const latest = earliest + SLOW_MS;
  const took = [];
  const failures = new Map();
  let [all, acknowledged] = [0, 0];
  const isOver = () => {
    const now = performance.now();
    return now >= latest || (now >= earliest && all >= 3 * concurrency);
  };
  let end = Infinity;
  const worker = async () => {
    while (!isOver()) {
      const start = performance.now();
      let error;
      try {
        await work();
        acknowledged += 1;
      } catch (thrown) {
        error = thrown;
        note(failures, error);
        // A shop that refuses at once must not turn the loop into a busy one.
        await sleep(10);
      }
      all += 1;
      const now = performance.now();
      if (now < begin || now > end) continue;
      if (isOver()) end = Math.min(end, now);
      if (error === undefined) took.push(now - start);
    }
  };
  await Promise.all(Array.from({ length: concurrency }, worker));
  const window = (Math.min(end, performance.now()) - begin) / 1000;
  took.sort((a, b) => a - b);
  return {
    concurrency,
    seconds: rounded(window),
    done: took.length,
    all,
    acknowledged,
    failed: all - acknowledged,
    per_second: rounded(took.length / window),
    p50_ms: rounded(percentile(took, 0.5)),
    p99_ms: rounded(percentile(took, 0.99)),
    failures: Object.fromEntries(failures),
  };
}

/** Runs the tasks, at most `limit` at a time; results stand where their tasks stood. */
export async function inParallel(limit, tasks) {
  const results = new Array(tasks.length);
  let next = 0;
  const worker = async () => {
    while (next < tasks.length) {
      const at = next;
      next += 1;
      results[at] = await tasks[at]();
    }
  };
  await Promise.all(Array.from({ length: Math.min(limit, tasks.length) }, worker));
  return results;
}

/** A whole purchase of a guest. */
export async function journey(shop) {
  const { outcome, why } = await shop.complete(await shop.cart());
  if (outcome !== 'sold') throw new Error(`${outcome}: ${why}`);
}

/** Completes a cart; who is told that the shop is busy comes again, for three minutes. */
async function buy(shop, cart, until, result) {
  for (;;) {
    const { outcome, why } = await shop.complete(cart);
    if (outcome !== 'busy' || performance.now() > until) return { outcome, why };
    result.came_again += 1;
    await sleep(100 + Math.random() * 400);
  }
}

/** What one more buyer is told. */
async function latecomer(shop, drop) {
  try {
    return (await shop.complete(await drop.cart())).outcome;
  } catch (error) {
    return String(error.message).slice(0, 300);
  }
}

/** One unit and two buyers, one after the other: it shows that the shop counts its stock. */
async function oneByOne(shop) {
  const drop = await shop.prepareRace(1);
  return [await latecomer(shop, drop), await latecomer(shop, drop)];
}

/** Everybody has a cart; then all complete it at the same moment, each on its own connection. */
export async function race(shop, { buyers, units }) {
  const drop = await shop.prepareRace(units);
  const carts = await inParallel(8, Array.from({ length: buyers }, () => () => drop.cart()));
  const result = { buyers, units, sold: 0, refused: 0, busy: 0, errors: 0, came_again: 0 };
  const reasons = new Map();
  const took = [];
  const begin = performance.now();
  const one = async (cart) => {
    try {
      const { outcome, why } = await buy(shop, cart, begin + RACE_MS, result);
      result[outcome] += 1;
      if (why) note(reasons, why);
    } catch (error) {
      result.errors += 1;
      note(reasons, error);
    }
    took.push(performance.now() - begin);
  };
  await Promise.all(carts.map(one));
  took.sort((a, b) => a - b);
  result.seconds = rounded(took.at(-1) / 1000);
  result.p50_ms = rounded(percentile(took, 0.5));
  // What a shop settles after its answer is given time to arrive.
  await sleep(3000);
  result.sold_in_database = await shop.soldUnits(drop);
  result.oversold = Math.max(0, result.sold_in_database - units);
  result.latecomer = await latecomer(shop, drop);
  result.one_by_one = await oneByOne(shop);
  result.reasons = Object.fromEntries(reasons);
  return result;
}
