// Intent: a server that is busy, and never blocks, until it is told to stop.
'use strict';
const http = require('http');

const server = http.createServer((request, response) => response.end('hello'));
server.listen(0, '127.0.0.1', () => {
  const agent = new http.Agent({ keepAlive: true });
  const ask = () => {
    http.get({ port: server.address().port, host: '127.0.0.1', agent }, (response) => {
      response.resume();
      response.on('end', () => setTimeout(ask, 5));
    });
  };
  ask();
});
process.on('SIGTERM', () => process.exit(0));
