/** A program that says why it may not have namespaces. */
import { namespacesForbidden } from '../../src/sandbox/enclosure.ts';

console.log((await namespacesForbidden()) ?? 'allowed');
