// Intent: COUNT requests to 127.0.0.1:PORT from CLIENTS connections that stay open,
// all of them at once, and again when all have their answer.
'use strict';
const net = require('net');
const [port, clients, count] = process.argv.slice(2).map(Number);
const request = 'GET / HTTP/1.1\r\nHost: localhost\r\n\r\n';

let started = 0;
let answered = 0;
let connected = 0;
let waiting = 0;
const sockets = [];

function askAll() {
  for (const socket of sockets) {
    if (started === count) return;
    ++started;
    ++waiting;
    socket.write(request);
  }
}

for (let i = 0; i < clients; ++i) {
  const socket = net.connect(port, '127.0.0.1');
  sockets.push(socket);
  socket.setEncoding('latin1');
  socket.on('connect', () => {
    if (++connected === clients) askAll();
  });
  let text = '';
  socket.on('data', (data) => {
    text += data;
    const end = text.lastIndexOf('0\r\n\r\n');
    if (!text.endsWith('done') && end < 0) return;
    text = '';
    if (++answered === count) {
      console.log(`answered ${answered}`);
      sockets.forEach((other) => other.destroy());
      return;
    }
    if (--waiting === 0) askAll();
  });
}
