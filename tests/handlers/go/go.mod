module scf.test/functions

go 1.18
