/** What the API is given by the composition: it knows intent, tokens and two views of the running system. */
export * from '../reconcile/contract.ts';
