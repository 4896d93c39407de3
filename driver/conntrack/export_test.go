package conntrack

// ListOnly has the table work as with a kernel that deletes by no filter.
func (t *Table) ListOnly() { t.noFilters.Store(true) }

// FiltersWork says whether the kernel deletes by filter, as far as it is known.
func (t *Table) FiltersWork() bool { return !t.noFilters.Load() }
