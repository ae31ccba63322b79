const { createServer } = require('http')

createServer((request, response) => {
  let body = ''
  request.on('data', part => { body += part })
  request.on('end', () => {
    let left = JSON.parse(body).Count
    const next = () => {
      if (left-- > 0) setTimeout(next, 1000)
      else response.end('1')
    }
    next()
  })
}).listen(Number(process.argv[2]), '0.0.0.0')
