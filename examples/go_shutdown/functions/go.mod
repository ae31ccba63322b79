module example.test/functions

go 1.18

require github.com/tencentyun/scf-go-lib v0.0.0

// A stand-in, so that the example needs no network: your project has the real library here, and no line like this.
replace github.com/tencentyun/scf-go-lib => ./scf-go-lib
