import { spawn } from 'node:child_process';

/** Opens an address in the desktop's browser. Returns whether there is something that opens addresses. */
export function openBrowser(address: string): Promise<boolean> {
  const opener = process.platform === 'darwin' ? 'open' : 'xdg-open';
  return new Promise((resolve) => {
    const child = spawn(opener, [address], { detached: true, stdio: 'ignore' });
    child.once('error', () => resolve(false));
    child.once('spawn', () => {
      // It may go on for as long as the browser does, and is nothing to wait for.
      child.unref();
      resolve(true);
    });
  });
}
