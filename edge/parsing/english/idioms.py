"""English idioms that become plain words before the words are read, in this order."""

import re

_STOPPED = (
    r"hang on|(?:kill|cut) the (?:engine|motor|power)s?|hold (?:on|still|it|up|there|(?:your |the"
    r" )?position)|stand (?:by|still|there|down)|be still|sit still"
    r"|(?:stay|remain|keep)(?: exactly)? (?:where you are|still|put|there|here|stationary|in place)"
    r"|(?:come|came|go) to an? (?:full |complete |immediate )?(?:stop|halt|standstill)"
    r"|(?:full|complete|emergency|e|immediate) ?-?stop|that(?:'s| is) enough|hit the brakes?|shut down"
    r"|power off"
)
IDIOMS = tuple(
    (re.compile(rf"\b(?:{pattern})(?![\w'])"), instead)
    for pattern, instead in (
        (r"do not|(?<!why )don't you(?: dare)?|dont|do n't", "don't"),
        (r"(?:don't|never) (?:hesitate|forget|fail) to", "please"),
        (r"go(?:ing)? (?:with|for)(?=[: ])", "choose"),
        (r"would you mind|come on(?=,| [a-z]+ (?:forward|ahead|straight|left|right|back))", "please"),
        (r"take your time", "slowly"),
        (
            r"why don't you|(?:can|could|would|will) you(?: please)?(?: kindly)?|(?:i|we) (?:want|need)"
            r" you to"
            r"|i'd like you to|i would like you to|let's|let us|let me|make sure (?:to"
            r"|that you|you)"
            r"|be sure to|go ahead and|feel free to|you (?:may|can) now",
            "please",
        ),
        (r"right ahead", "ahead"),
        (r"(?:pull|draw) (?:back|away)", "backup"),
        (r"make (?:your|my|its|our|the) way(?= (?:to|towards?|into|through|back|along|down)\b)", "go"),
        (
            r"^\s*(?:should|had|were)(?= (?:the|an?|any|there|it|he|she|they|some|nobody|anybody)\b)",
            "if",
        ),
        (
            r"(?:give|allow) (?:me|us) (?:an? |one |some )?(?:moment|minute|while|bit|time|someduration\d*)",
            "wait",
        ),
        (
            r"going by|judging by|find(?:ing)? out|put(?:ting)? it (?:this|that|another) way|get an idea",
            "switch",
        ),
        (r"looks? (?:fine|good|ok|okay|clear|free|empty|safe|nice|bad|open|blocked)", "seems"),
        (r"look(?:ing)? forward to|moving on to|going forward(?= we\b)", "switch"),
        (r"(?:drive|go|move|roll) in reverse", "reverse"),
        (r"(right|left)[ -]hand(?: side| direction)?", "side"),
        (r"(?:at |with |in )?(?:full|top|maximum|max|high|great) (?:speed|throttle|tilt)", "fast"),
        (r"(?:at |with |in )?an? (?:slow|low|reduced|gentle|leisurely) (?:speed|pace)", "slowly"),
        (r"(?:at |with )?(?:slow|low|half|reduced|minimum|walking) (?:speed|pace)", "slowly"),
        (r"however|although|even though|though|and yet|except that|only that|nevertheless", ", but"),
        (r"(?:stop|quit|cease)((?: [a-z]+){1,6}?) and(?= [^.;!?]{0,60}\binstead\b)", r", not\1,"),
        (r"^\W*enough(?=[\s.!]*$)", "stop"),
        (r"(?:move|go|drive|step) right (?:now|here|there)", "unclear"),  # to the right, or at once?
        (r"(?:get|move|step) out of (?:the|my|our) way|get (?:up|off|out|down|lost|ready|away)", "switch"),
        (r"get (?:moving|going)", "proceed"),
        (r"get back", "go back"),
        (r"come back", "return"),
        (r"do nothing|don't(?=[\s.!]*$)", "stop"),
        (
            r"(?<!turn )(?<!rotate )(?<!veer )(?<!steer )right"
            r" (?:away|now|here|there|after|before|in front|behind|next|beside|on)|right away",
            "now",
        ),
        (r"(?:all|that's|that is|you're|you are) right|alright|(?<=[,.;] )right\?", "ok"),
        (r"bus stop", "bus-stop"),
        (r"stop sign", "stop-sign"),
        (r"stop (?:light|button|line|watch)", "stop-mark"),
        (r"non-?stop|stop-motion", ""),
        (
            r"(?:but )?(?:don't|not|never)(?: go| move| drive| turn| run| be)?(?: too| so| that| very)?"
            r" (?:fast|quick|quickly|rapidly)",
            "slowly",
        ),
        (
            r"(?:avoid|don't|never|not to|without) (?:hit|bump|bump into|collide with|crash into|run"
            r" into|hitting"
            r"|bumping|bumping into|colliding with|crashing into|running into)",
            ", avoid",
        ),
        (r"in order to|so as to", ", to"),
        (r"keep (?:going )?straight", "proceed straight"),
        (r"take (?:a|one|two|three|\d|a few|some|another)(?: small| big| large)? steps?", "step"),
        (r"no longer|no need to|no reason to|needn't|need not|not (?:necessary|needed|required) to", "not"),
        (r"instead of|rather than|without|refrain from|keep from|avoid(?:ing)?(?= [a-z]+ing\b)", ", not"),
        (_STOPPED, "stop"),
        (
            r"(?:stay|keep|move|get|turn|steer|drive|go|walk|run|step|veer) (?:well |far )?"
            r"(?:away|clear|off) (?:from|of)|watch out for|look out for|beware of|mind"
            r"|(?:go|get|drive|move|steer|navigate|walk|swerve|maneuver) around(?= (?:the|an?|it|that"
            r"|this|any)\b)",
            "avoid",
        ),
        (r"swerve|bear(?= (?:left|right|to))", "veer"),
        (r"(?:can't|won't|couldn't|wouldn't) you", "please"),
        (
            r"take (?:a|the|my|some) (?:picture|photo|break|rest|nap|look|seat|turn)|take it (?:slow|easy)",
            "switch",
        ),
        (r"(?:give|hand|pass) me", "grab"),
        (r"get to(?= (?:the|a|an|my|that|this)\b)", "approach"),
        (r"going to(?= (?:be )?[a-z]+)(?! (?:the|a|an|my|your|be)\b)", "will"),
        (
            r"(?:make|hang|do|take|execute|perform) (?:an?|the|your)(?: \w+)? (left|right)(?: turn)?"
            r"|(left|right) turn",
            "turn",
        ),
        (
            r"(?:make|do|perform) an? (?:u-?turn|180|full turn|about-face)|u-turn|(?:turn|spin|face)"
            r" (?:back|around"
            r"|right around|all the way around|(?:the other|in the opposite) way)|about-face"
            r"|turn (?:completely|fully) around",
            "turnaround",
        ),
        (r"back (?:up|off|away|out|it up)", "backup"),
        (r"backing (?:up|off|away|out)", "backing"),
        (r"(?:keep|continue|start|begin|try|carry on|go on)(?: on)?(?= (?!stop)[a-z]+ing\b)", "please"),
        (
            r"keep at it|carry on|go on|go ahead|keep on|keep it up|march on|move on|move along|press on",
            "proceed",
        ),
        (r"continue to|start to|begin to", "please"),
        (r"turn (?:it |them )?(?:on|off|up|down|over|into|in|out)|turn out", "switch"),
        (
            r"run (?:out|into|over)|look like|looks like|take (?:care|place|note|part|off)|point out|set up",
            "switch",
        ),
        (r"look (?:around )?for|search(?: around)? for|search|locate|seek|hunt for", "find"),
        (
            r"let go(?: of)?|let (?:it|them|that) go|(?:put|set|lay) (?:it |them )?down|open (?:the "
            r"|your )?(?:gripper"
            r"|hand|claw)",
            "release",
        ),
        (r"let (?:the|that|this)((?: \w+){1,3}) go", "release"),
        (
            r"close (?:the |your )?(?:gripper|hand|claw)|pick (?:it )?up|take hold of|get hold of|lift up",
            "grab",
        ),
        (
            r"(?:get|move|go|come|drive|step) (?:closer|nearer) to|(?:get|move|go|come) (?:close|near"
            r"|next) to",
            "approach",
        ),
        (r"come (?:over )?(?:here|to me)|come closer|come on over|follow me|come with me", "approach me"),
        (r"provided(?: that)?(?= (?:the|it|that|there|you|we|nobody|nothing|no|an?)\b)", "if"),
        (r"after that|afterwards?|and next|finally", "then"),
        (
            r"as soon as|in case|assuming|whenever|every time",
            "if",
        ),
    )
)
