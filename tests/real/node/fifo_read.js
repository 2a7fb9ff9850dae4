// Intent: readFileSync of a fifo blocks until its writer comes, 0.2 s later.
'use strict';
const { spawn } = require('child_process');
const fs = require('fs');
const path = process.argv[2];

let ticks = 0;
const ticker = setInterval(() => {
  ticks += 1;
  if (ticks === 10) {
    // The writer says when it starts to wait, so that its own start takes no part.
    const writer = spawn('sh', ['-c', 'echo waiting; sleep 0.2; echo text > "$0"', path]);
    writer.stdout.once('data', () => {
      if (fs.readFileSync(path, 'utf8') !== 'text\n') process.exitCode = 1;
    });
  }
  if (ticks === 60) clearInterval(ticker);
}, 5);
