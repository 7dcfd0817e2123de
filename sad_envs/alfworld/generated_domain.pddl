; A household with one agent, for generated games. An action's name and the order of its arguments
; are those of the released games, so that the two can be played by the same engine and expert.

(define (domain household)
  (:requirements :adl :typing)

  (:types agent location receptacle object rtype otype)

  (:predicates
    ; where things are
    (atLocation ?a - agent ?l - location)
    (receptacleAtLocation ?r - receptacle ?l - location)
    (objectAtLocation ?o - object ?l - location)
    (inReceptacle ?o - object ?r - receptacle)
    (inReceptacleObject ?inner - object ?outer - object)
    (holds ?a - agent ?o - object)
    (holdsAny ?a - agent)

    ; what kinds there are, and which kind of receptacle takes which kind of object
    (receptacleType ?r - receptacle ?rt - rtype)
    (objectType ?o - object ?ot - otype)
    (canContain ?rt - rtype ?ot - otype)

    ; what can be done with a thing
    (openable ?r - receptacle)
    (pickupable ?o - object)
    (isReceptacleObject ?o - object)
    (cleanable ?o - object)
    (heatable ?o - object)
    (coolable ?o - object)
    (sliceable ?o - object)
    (toggleable ?o - object)

    ; what has been done with it
    (opened ?r - receptacle)
    (isClean ?o - object)
    (isHot ?o - object)
    (isCool ?o - object)
    (isSliced ?o - object)
    (isOn ?o - object)
    (isToggled ?o - object)

    ; looked at; of anything, so its argument has no type
    (checked ?x))

  ; Looking changes nothing that matters, but an action without an effect does not exist.

  (:action look
    :parameters (?a - agent ?l - location)
    :precondition (and (atLocation ?a ?l))
    :effect (and (checked ?l)))

  (:action inventory
    :parameters (?a - agent)
    :precondition ()
    :effect (and (checked ?a)))

  (:action help
    :parameters (?a - agent)
    :precondition ()
    :effect (and (checked ?a)))

  (:action examineReceptacle
    :parameters (?a - agent ?r - receptacle)
    :precondition (and
      (exists (?l - location)
        (and (atLocation ?a ?l) (receptacleAtLocation ?r ?l))))
    :effect (and (checked ?r)))

  ; Only what is in the hand can be examined.
  (:action examineObject
    :parameters (?a - agent ?o - object)
    :precondition (and (holds ?a ?o))
    :effect (and (checked ?o)))

  ; Moving about

  (:action GotoLocation
    :parameters (?a - agent ?lStart - location ?lEnd - location ?r - receptacle)
    :precondition (and (atLocation ?a ?lStart) (receptacleAtLocation ?r ?lEnd))
    :effect (and (not (atLocation ?a ?lStart)) (atLocation ?a ?lEnd)))

  (:action OpenObject
    :parameters (?a - agent ?l - location ?r - receptacle)
    :precondition (and
      (openable ?r)
      (not (opened ?r))
      (atLocation ?a ?l)
      (receptacleAtLocation ?r ?l))
    :effect (and (opened ?r) (checked ?r)))

  (:action CloseObject
    :parameters (?a - agent ?l - location ?r - receptacle)
    :precondition (and
      (openable ?r)
      (opened ?r)
      (atLocation ?a ?l)
      (receptacleAtLocation ?r ?l))
    :effect (and (not (opened ?r))))

  ; Handling things: one at a time, and through no closed door

  (:action PickupObject
    :parameters (?a - agent ?l - location ?o - object ?r - receptacle)
    :precondition (and
      (pickupable ?o)
      (not (holdsAny ?a))
      (inReceptacle ?o ?r)
      (or (not (openable ?r)) (opened ?r))
      (atLocation ?a ?l)
      (receptacleAtLocation ?r ?l))
    :effect (and
      (holds ?a ?o)
      (holdsAny ?a)
      (not (inReceptacle ?o ?r))
      (not (objectAtLocation ?o ?l))))

  (:action PutObject
    :parameters (?a - agent ?l - location ?o - object ?r - receptacle ?ot - otype ?rt - rtype)
    :precondition (and
      (holds ?a ?o)
      (objectType ?o ?ot)
      (receptacleType ?r ?rt)
      (canContain ?rt ?ot)
      (or (not (openable ?r)) (opened ?r))
      (atLocation ?a ?l)
      (receptacleAtLocation ?r ?l))
    :effect (and
      (inReceptacle ?o ?r)
      (objectAtLocation ?o ?l)
      (not (holds ?a ?o))
      (not (holdsAny ?a))))

  ; Treating what is in the hand; the appliance's door may be shut.

  (:action CleanObject
    :parameters (?a - agent ?l - location ?r - receptacle ?o - object)
    :precondition (and
      (cleanable ?o)
      (holds ?a ?o)
      (receptacleType ?r SinkBasinType)
      (atLocation ?a ?l)
      (receptacleAtLocation ?r ?l))
    :effect (and (isClean ?o)))

  (:action HeatObject
    :parameters (?a - agent ?l - location ?r - receptacle ?o - object)
    :precondition (and
      (heatable ?o)
      (holds ?a ?o)
      (receptacleType ?r MicrowaveType)
      (atLocation ?a ?l)
      (receptacleAtLocation ?r ?l))
    :effect (and (isHot ?o) (not (isCool ?o))))

  (:action CoolObject
    :parameters (?a - agent ?l - location ?r - receptacle ?o - object)
    :precondition (and
      (coolable ?o)
      (holds ?a ?o)
      (receptacleType ?r FridgeType)
      (atLocation ?a ?l)
      (receptacleAtLocation ?r ?l))
    :effect (and (isCool ?o) (not (isHot ?o))))

  ; Treating what lies here. A lamp that was ever switched stays toggled, on or off; and a knife
  ; reaches whatever is at this place, behind a closed door too.

  (:action ToggleObject
    :parameters (?a - agent ?l - location ?o - object ?r - receptacle)
    :precondition (and
      (toggleable ?o)
      (inReceptacle ?o ?r)
      (atLocation ?a ?l)
      (receptacleAtLocation ?r ?l))
    :effect (and
      (when (isOn ?o) (not (isOn ?o)))
      (when (not (isOn ?o)) (isOn ?o))
      (isToggled ?o)))

  (:action SliceObject
    :parameters (?a - agent ?l - location ?co - object ?ko - object)
    :precondition (and
      (sliceable ?co)
      (holds ?a ?ko)
      (or (objectType ?ko KnifeType) (objectType ?ko ButterKnifeType))
      (atLocation ?a ?l)
      (objectAtLocation ?co ?l))
    :effect (and (isSliced ?co))))
