import { conformance, type Kind } from './conformance.ts';
import { levelPlace, memoryPlace } from './places.ts';
import { upkeepConformance } from './upkeep-conformance.ts';

const kinds: Kind[] = [
  { name: 'memory', faults: ['before'], place: memoryPlace },
  { name: 'level', faults: ['before', 'after'], place: levelPlace },
];

for (const kind of kinds) {
  conformance(kind);
  upkeepConformance(kind);
}
