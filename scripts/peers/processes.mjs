// Starting and stopping programs, and what they use.
import { execFile, spawn } from 'node:child_process';
import fs from 'node:fs';
import net from 'node:net';
import { promisify } from 'node:util';

const JIFFIES_PER_SECOND = 100;
const STOP_MS = 20_000;
const running = new Set();
const finishing = new Set();

const run = promisify(execFile);

/** Runs a program to its end; what it says goes into the log. */
export async function finish(command, { cwd, env = {}, log }) {
  const [program, ...rest] = command;
  const options = { cwd, env: { ...process.env, ...env }, maxBuffer: 1 << 28 };
  try {
    const ending = run(program, rest, options);
    finishing.add(ending.child);
    ending.child.on('close', () => finishing.delete(ending.child));
    const { stdout, stderr } = await ending;
    if (log) fs.appendFileSync(log, `$ ${command.join(' ')}\n${stdout}${stderr}`);
    return stdout.trim();
  } catch (error) {
    if (log) fs.appendFileSync(log, `${error.stdout ?? ''}${error.stderr ?? ''}`);
    const said = `${error.stdout ?? ''}${error.stderr ?? ''}`.slice(-1500);
    throw new Error(`${command.slice(0, 4).join(' ')} failed: ${said}`);
  }
}

/** Starts a program with a process group of its own. */
export function start(command, { cwd, env = {}, log, stdio }) {
  const out = fs.openSync(log, 'a');
  const [program, ...rest] = command;
  const child = spawn(program, rest, {
    cwd,
    env: { ...process.env, ...env },
    detached: true,
    stdio: stdio ?? ['ignore', out, out],
  });
  fs.closeSync(out);
  child.on('error', (error) => console.error(`${program}: ${error.message}`));
  child.ended = new Promise((resolve) => child.on('close', resolve));
  running.add(child);
  child.on('close', () => running.delete(child));
  return child;
}

function signal(child, name) {
  try {
    process.kill(-child.pid, name);
  } catch {
    // It has ended already.
  }
}

export async function stop(children) {
  children.forEach((child) => signal(child, 'SIGTERM'));
  const timer = setTimeout(() => children.forEach((one) => signal(one, 'SIGKILL')), STOP_MS);
  await Promise.all(children.map((child) => child.ended));
  clearTimeout(timer);
}

/** Nothing that was started here outlives the comparison. */
export function stopAllAtExit() {
  process.on('exit', () => {
    running.forEach((child) => signal(child, 'SIGTERM'));
    finishing.forEach((child) => child.kill());
  });
  for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(name, () => process.exit(130));
}

/** A port that was free a moment ago. */
export function freePort() {
  return new Promise((resolve, reject) => {
    const server = net.createServer();
    server.on('error', reject);
    server.listen(0, '127.0.0.1', () => {
      const { port } = server.address();
      server.close(() => resolve(port));
    });
  });
}

/** The processes below these, and themselves. */
function tree(roots) {
  const children = new Map();
  for (const name of fs.readdirSync('/proc')) {
    if (!/^\d+$/.test(name)) continue;
    const stat = statOf(Number(name));
    if (stat) children.set(stat.parent, [...(children.get(stat.parent) ?? []), Number(name)]);
  }
  const all = [];
  const todo = [...roots];
  while (todo.length > 0) {
    const pid = todo.pop();
    all.push(pid);
    todo.push(...(children.get(pid) ?? []));
  }
  return all;
}

function statOf(pid) {
  try {
    const text = fs.readFileSync(`/proc/${pid}/stat`, 'utf8');
    const fields = text.slice(text.lastIndexOf(')') + 2).split(' ');
    // Its own time, and that of children that have ended.
    const jiffies = fields.slice(11, 15).reduce((sum, field) => sum + Number(field), 0);
    return { parent: Number(fields[1]), jiffies };
  } catch {
    return null;
  }
}

/** Resident memory of the processes and all below them, in MiB. */
export function memory(roots) {
  let kib = 0;
  const pids = tree(roots);
  for (const pid of pids) {
    try {
      const status = fs.readFileSync(`/proc/${pid}/status`, 'utf8');
      kib += Number(/^VmRSS:\s+(\d+)/m.exec(status)?.[1] ?? 0);
    } catch {
      // It has ended meanwhile.
    }
  }
  return { processes: pids.length, rss_mib: Math.round(kib / 1024) };
}

/** Seconds of CPU that the processes and all below them have used. */
export function cpuSeconds(roots) {
  const used = tree(roots).reduce((sum, pid) => sum + (statOf(pid)?.jiffies ?? 0), 0);
  return used / JIFFIES_PER_SECOND;
}

/** Seconds of CPU that the whole machine has used. */
export function machineSeconds() {
  const [, ...fields] = fs.readFileSync('/proc/stat', 'utf8').split('\n')[0].split(/\s+/);
  const [user, nice, system, , , irq, softirq, steal] = fields.map(Number);
  return (user + nice + system + irq + softirq + steal) / JIFFIES_PER_SECOND;
}
