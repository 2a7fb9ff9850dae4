// Intent: nothing blocks but what libuv does to start a process.
'use strict';
const { spawn } = require('child_process');

setTimeout(() => {
  spawn('true').on('exit', () => {
    setTimeout(() => {}, 20);
  });
}, 20);
