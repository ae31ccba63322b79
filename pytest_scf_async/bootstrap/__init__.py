"""What runs inside the zygote and inside an instance. Imports the standard library, freezegun and ``protocol`` only."""
