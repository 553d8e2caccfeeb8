// Finds a Node that runs Keyway from source (24 or later strips types by itself). Plain JavaScript for Node 18 and later.
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

export const wantedMajor = 24;

/** Root of the working tree, with a trailing slash. */
export const root = fileURLToPath(new URL('../', import.meta.url));

export const runsHere = Number.parseInt(process.versions.node, 10) >= wantedMajor;

/** Node 24 that npm brought as a package for this platform, if there is one for it. */
export function packagedNode() {
  const path = `${root}node_modules/node-${process.platform}-${process.arch}/bin/node`;
  return existsSync(path) ? path : undefined;
}

/** A program that is Node 24 or later, or undefined. */
export function findNode24() {
  return runsHere ? process.execPath : packagedNode();
}

/**
 * Options of Node for a process that runs the controller. V8 would let the nursery of each thread grow to 134 MB, which
 * made half of the controller's memory (600 MB with 20 switches of 40,000 flows) and none of its speed.
 */
export const controllerFlags = ['--max-semi-space-size=8'];
