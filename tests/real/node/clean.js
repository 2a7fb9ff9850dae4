// Intent: a program that never blocks its loop is not accused.
'use strict';
const { execFile } = require('child_process');
const dns = require('dns');
const fs = require('fs');
const http = require('http');

const server = http.createServer((request, response) => {
  fs.readFile(__filename, (error, text) => response.end(text));
});

server.listen(0, '127.0.0.1', () => {
  let left = 300;
  const next = () => {
    if (--left === 0) {
      server.close();
      return;
    }
    http.get({ port: server.address().port, host: '127.0.0.1' }, (response) => {
      response.resume();
      response.on('end', next);
    });
  };
  next();
});
dns.lookup('localhost', () => {});
execFile('sleep', ['0.2'], () => {});
setTimeout(() => {}, 300);
