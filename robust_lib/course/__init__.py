"""What notebooks are made of, and their runner.

Read chapter, claims, checks, notebooks, runner, shake in this order.

chapter = Chapter(PROFILE)
chapter.show(figure, "01-curves", "Weight curves of four losses.")
check("01.1", answer)
"""

from robust_lib.course import checks
from robust_lib.course.chapter import Chapter
from robust_lib.course.claims import Claims
