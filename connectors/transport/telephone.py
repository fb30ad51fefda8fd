"""What makes a telephone number one."""

from __future__ import annotations

import phonenumbers


def whole(number: phonenumbers.PhoneNumber) -> bool:
    """Of a possible length, from anywhere: not as dialled within a town, nor with the 0 that only its own country dials
    (Italy's is part of the number)."""
    region = phonenumbers.region_code_for_country_code(number.country_code or 0)
    written = phonenumbers.PhoneMetadata.metadata_for_region(region)
    if number.italian_leading_zero and written is not None and written.national_prefix == "0":
        return False
    possible = phonenumbers.is_possible_number_with_reason(number)
    return bool(possible == phonenumbers.ValidationResult.IS_POSSIBLE)
