import type { FastifyInstance } from 'fastify';

/** Methods the path takes, sorted; none when there is no such path. */
export type AllowedMethods = (path: string) => string[];

/**
 * Remembers every route registered from now on, for answers 404 and 405 to tell apart. The router itself finds
 * routes by method first and cannot say which methods a path has.
 */
export function rememberRoutes(app: FastifyInstance): AllowedMethods {
  const methodsByPattern = new Map<string, Set<string>>();
  app.addHook('onRoute', ({ url, method }) => {
    const methods = methodsByPattern.get(url) ?? new Set();
    for (const name of [method].flat()) methods.add(name);
    methodsByPattern.set(url, methods);
  });
  return (path) => {
    const steps = path.split('/');
    for (const [pattern, methods] of methodsByPattern) if (fits(pattern.split('/'), steps)) return [...methods].sort();
    return [];
  };
}

function fits(pattern: string[], steps: string[]): boolean {
  if (pattern.length !== steps.length) return false;
  return pattern.every((part, i) => (part.startsWith(':') ? steps[i] !== '' : part === steps[i]));
}
