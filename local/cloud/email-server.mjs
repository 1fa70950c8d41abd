// The child process of email.ts: aws-ses-v2-local keeps its inbox in a global, so each local cloud has one of its own.
import ses from 'aws-ses-v2-local';

process.on('disconnect', () => process.exit(0));
const server = await ses.default({ host: '127.0.0.1', port: 0 });
process.send({ port: server.address().port });
