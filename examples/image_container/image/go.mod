module export

go 1.18
