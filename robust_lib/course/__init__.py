"""What notebooks are made of, and their runner.

Read, in this order: chapter (set-up, figures), claims (what a chapter's text states, checked), checks
(exercises, a module a chapter), notebooks (the rules), runner (headless), shake (other seeds and kernels).

    chapter = Chapter(PROFILE)
    chapter.show(figure, "01-curves", "Weight curves of four losses.")
    checks.check("01.1", answer)
"""

from robust_lib.course import checks
from robust_lib.course.chapter import Chapter
from robust_lib.course.claims import Claims
