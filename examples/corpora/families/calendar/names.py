"""Names of weekdays and months."""

import calendar

WEEKDAYS = calendar.day_name[:]
MONTHS = calendar.month_name[:]
