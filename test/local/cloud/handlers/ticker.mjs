let ticks = 0;
setInterval(() => ticks++, 10);

export const handler = async () => ({ ticks, pid: process.pid });
