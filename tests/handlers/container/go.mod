module container

go 1.18
