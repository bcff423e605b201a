"""The patches follow the sources: one that no longer fits would silently check nothing."""

import pytest

from mutation.run import MUTANTS, Mutant, read_mutants


@pytest.mark.parametrize("mutant", read_mutants(), ids=lambda mutant: mutant.name)
def test_patch_fits_its_file_once(mutant: Mutant) -> None:
    assert mutant.fits(), f"adapt `find` of this mutant in {MUTANTS}"
