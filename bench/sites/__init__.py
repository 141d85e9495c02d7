"""Django projects in a file each: the peers' side of the comparison."""
