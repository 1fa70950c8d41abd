/** Rejects when `ms` have passed; the work may still end either way. */
export function before<Result>(work: Promise<Result>, ms: number): Promise<Result> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(
      () => reject(new Error('the work was still under way when the time was up')),
      Math.max(0, ms),
    );
    work.then(resolve, reject).finally(() => clearTimeout(timer));
  });
}
