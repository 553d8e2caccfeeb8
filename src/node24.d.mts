/** See node24.mjs. */
export const wantedMajor: number;
export const root: string;
export const runsHere: boolean;
export function packagedNode(): string | undefined;
export function findNode24(): string | undefined;
export const controllerFlags: readonly string[];
