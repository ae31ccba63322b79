const fs = require('fs');

const minute = () => new Promise((resolve) => setTimeout(resolve, 60000));

exports.main_handler = async (event, context) => {
  let stopping = false;
  const stop = () => {
    console.log('stopping');
    stopping = true;
  };
  process.once('SIGTERM', stop);
  let row = 0;
  while (row < event.rows && !stopping) {
    await minute(); // a row takes a minute
    row += 1;
    console.log('row', row, 'of', context.function_name);
  }
  process.removeListener('SIGTERM', stop);
  fs.writeFileSync(`${process.env.OUT}/checkpoint`, String(row));
  return { rows: row };
};
