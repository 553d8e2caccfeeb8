import { conformance } from './conformance.ts';
import { levelPlace, memoryPlace } from './places.ts';

conformance({ name: 'memory', faults: ['before'], place: memoryPlace });
conformance({ name: 'level', faults: ['before', 'after'], place: levelPlace });
