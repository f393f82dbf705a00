module proberflag

go 1.21
